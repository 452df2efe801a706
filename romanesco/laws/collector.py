"""The laws of collectors, C2, M4 and Box, as functions of one collector. T time, B streams.

A collector is `collect(key, env, actor, streams, horizon) -> (streams, rollout, tally)`, as `agent.rollout.collect` is.
Every law plays three consecutive rollouts of worlds whose episodes end inside them.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from romanesco.agent.agent import Agent, build
from romanesco.agent.encoders.vector import Linear
from romanesco.agent.rollout import start
from romanesco.core.types import Env, Rollout
from romanesco.envs.probe import probe8
from romanesco.envs.tmaze import tmaze
from romanesco.laws.verdict import close, require
from romanesco.learn.ppo import replay
from romanesco.memory import GRU, AGaLiTe, Feedforward, Stack

Collect = Callable[..., tuple[Any, Rollout, Any]]

HORIZON, STREAMS, ROLLOUTS = 16, 6, 3
BOUND = 0.1  # of the Box world: a fresh policy's samples leave it nine times in ten

WORLDS: dict[str, Callable[[], Any]] = {
    "tmaze": lambda: tmaze(corridor_length=3, max_steps=5),  # ends by its turns and by its limit
    "probe8": lambda: probe8(bound=BOUND),
}
CELLS: dict[str, Callable] = {
    "none": Feedforward,
    "gru": functools.partial(GRU, units=5),
    "agalite": lambda size, *, key: Stack.of(AGaLiTe, layers=2, size=size, heads=2, head_size=4, eta=2, key=key),
}


def fresh(key: Key[Array, ""], env: Env, memory: str) -> Agent:
    """A small agent whose policy is far from uniform."""
    eye, spaces = functools.partial(Linear, width=6), (env.observation_space, env.action_space)
    return build(key, *spaces, encoder=eye, memory=CELLS[memory], head_gain=1.0)


def case(world: str, memory: str) -> tuple[Env, Agent]:
    """A small world and an agent for it."""
    env = WORLDS[world]()
    return env, fresh(jax.random.key(7), env, memory)


@functools.partial(jax.jit, static_argnums=0)
def _play(collect: Collect, key, env: Env, agent: Agent, streams):
    """One rollout, and the log-probs [T B] and values [T B] of its replay."""
    streams, rollout, _ = collect(key, env, agent, streams, HORIZON)
    said = replay(agent, rollout)
    log_prob = jax.vmap(jax.vmap(lambda dist, action: dist.log_prob(action)))(said.dist, rollout.action)
    return streams, rollout, log_prob, said.value.mean()


def _rollouts(
    collect: Collect, env: Env, agent: Agent
) -> Iterator[tuple[Rollout, Float[Array, "T B"], Float[Array, "T B"]]]:
    streams = start(jax.random.key(1), env, agent, STREAMS)
    for key in jax.random.split(jax.random.key(2), ROLLOUTS):
        streams, *seen = _play(collect, key, env, agent, streams)
        yield jax.tree.map(np.asarray, tuple(seen))


def c2_ends(collect: Collect, memory: str = "gru") -> None:
    """C2: `first[t+1] == last[t]`, within a rollout and from each to the next, which begins with the step that ended
    the one before and values it alike."""
    for world in WORLDS:
        before = None
        for rollout, *_ in _rollouts(collect, *case(world, memory)):
            steps = rollout.steps
            require(steps.first.shape == (HORIZON + 1, STREAMS), f"C2: {world} has steps {steps.first.shape}, not T+1")
            require(steps.last[:-1].any(), f"C2: no episode of {world} ended, so nothing is shown")
            wrong = int((steps.first[1:] != steps.last[:-1]).sum())
            require(wrong == 0, f"C2: first[t+1] is not last[t] at {wrong} steps of {world}")
            if before is not None:
                now = jax.tree.map(lambda x: x[0], (steps, rollout.value))
                close(before, now, what=f"C2: the last step of a rollout of {world} against the next one's first, ")
            before = jax.tree.map(lambda x: x[-1], (steps, rollout.value))


def m4_replay(collect: Collect, memory: str = "gru", within: float = 1e-5) -> None:
    """M4, C3: what an unchanged agent says when a rollout is replayed from its carry is what it said when it acted:
    ratio 1 and equal values, in three consecutive rollouts."""
    for world in WORLDS:
        for n, (rollout, log_prob, value) in enumerate(_rollouts(collect, *case(world, memory))):
            far = np.abs(np.exp(log_prob - rollout.log_prob) - 1).max()
            said = f"M4: |ratio - 1| is {far:.1e} when rollout {n} of {world} is replayed, not below {within:.0e}"
            require(far < within, said)
            where = f"M4: values of rollout {n} of {world}, replayed against acted,"
            close(value, rollout.value[:-1], atol=within, what=where)


def box_actions(collect: Collect, memory: str = "gru") -> None:
    """Box: the Rollout keeps the sampled action, the world receives it clipped to its bounds."""
    for rollout, *_ in _rollouts(collect, *case("probe8", memory)):
        action, steps = rollout.action, rollout.steps
        require((np.abs(action) > BOUND).any(), "Box: every stored action lies within bounds that most samples leave")
        paid = -np.square(np.clip(action, -BOUND, BOUND) - steps.obs[:-1])[..., 0]
        got, want = (np.where(steps.last[:-1], 0.0, x) for x in (steps.reward[1:], paid))
        close(got, want, what="Box: rewards, against those of the stored actions clipped to the bounds,")


LAWS: dict[str, Callable[..., None]] = {"C2": c2_ends, "M4": m4_replay, "Box": box_actions}
