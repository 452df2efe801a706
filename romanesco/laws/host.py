"""The laws of worlds on the host, H1-H5, as functions of one world. T time, B streams.

A world is `make(num_envs, vectorization) -> World`, as `envs.gym.given` makes them. `OnHost` puts a pure
environment on the host, so that both collectors can be compared (C1).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.agent.agent import Agent
from romanesco.agent.evaluate import evaluate
from romanesco.agent.host import begin, collect_host, evaluate_host
from romanesco.agent.rollout import collect, start
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, contains, in_form, leaves
from romanesco.core.types import Env, HostEnv, TimeStep
from romanesco.envs.settings import apply
from romanesco.envs.world import World
from romanesco.laws.verdict import close, require

STREAMS, STEPS = 3, 200

Make = Callable[[int, str], World]


class OnHost:
    """A pure environment as a `HostEnv`; its chance comes from the keys that the collector hands on."""

    def __init__(self, env: Env, num_envs: int):
        self.env, self.num_envs = env, num_envs
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._reset, self._step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
        self._metrics = jax.jit(jax.vmap(env.metrics))

    def reset(self, key: Key[Array, "B"]) -> TimeStep:
        self._state, ts = self._reset(key)
        return jax.tree.map(np.array, ts)

    def step(self, key: Key[Array, "B"], action: PyTree[Any]) -> TimeStep:
        self._state, ts = self._step(key, self._state, action)
        return jax.tree.map(np.array, ts)

    def metrics(self) -> dict[str, Any]:
        return jax.tree.map(np.array, self._metrics(self._state))

    def close(self) -> None:
        """Nothing to free."""


def on_host(env: Env, *, max_steps: int | None = None, action_repeat: int = 1, **settings: Any) -> World:
    """A pure environment as a world on the host, under the same settings as `apply`."""
    env = apply(env, max_steps=max_steps, action_repeat=action_repeat)
    return World.of(
        lambda n: OnHost(env, n), STREAMS, max_steps=env.max_steps, threshold=env.threshold,
        velocities=getattr(env, "velocities", ()), **settings,
    )  # fmt: skip


def c1_collectors(env: Env, agent: Callable[[Env], Agent], **settings: Any) -> None:
    """C1: on the same environment, under the same transforms, the collector on the host gives the device's rollouts,
    episodes and evaluations."""
    pure, world = apply(env, **settings), on_host(env, **settings)
    actor = agent(pure)
    k_start, k_eval = jax.random.split(jax.random.key(3))
    device, stream = jax.jit(start, static_argnums=3)(k_start, pure, actor, STREAMS), world.streams(STREAMS)
    host = begin(k_start, world, stream, actor)
    play = jax.jit(collect, static_argnums=4)
    for number in range(3):
        key = jax.random.key(number)
        device, want, tally = play(key, pure, actor, device, 16)
        host, got, ended = collect_host(key, world, stream, actor, host, 16)
        close(got, want, what=f"C1: rollout {number} of the host against the device's,")
        require(len(ended.get("return", ())) == tally.episodes, "C1: another number of episodes ended")
        for name, x in ended.items():
            close(x.sum(), tally.sums[name], what=f"C1: the sum of `{name}` over episodes,")
    want = jax.jit(functools.partial(evaluate, episodes=5, greedy=True))(k_eval, pure, actor)
    got = evaluate_host(k_eval, world, world.streams(5), actor, episodes=5, greedy=True)
    close(got, want, what="C1: evaluations,")


@contextlib.contextmanager
def _opened(make: Make, n: int = STREAMS, vectorization: str = "sync") -> Iterator[HostEnv]:
    env = make(n, vectorization).streams(n)
    try:
        yield env
    finally:
        env.close()


def _action(env: HostEnv, t: int) -> Any:
    """An action of every stream, drawn from the space alone."""
    draw = np.random.default_rng(t)

    def one(space: Discrete | MultiDiscrete | Box) -> np.ndarray:
        size = (env.num_envs, *space.shape)
        match space:
            case Discrete():
                return draw.integers(space.start, space.start + space.n, size).astype(np.int32)
            case MultiDiscrete():
                return draw.integers(0, np.asarray(space.nvec), size).astype(np.int32)
        low, high = (np.nan_to_num(b, posinf=1.0, neginf=-1.0) for b in space.bounds)
        return draw.uniform(low, high, size).astype(np.float32)

    return in_form(env.action_space, map(one, leaves(env.action_space)))


def _played(env: HostEnv, seed: int = 0, steps: int = STEPS) -> list[TimeStep]:
    keys = jax.random.split(jax.random.key(seed), env.num_envs)
    seen = [env.reset(keys)]
    for t in range(steps):
        seen.append(env.step(keys, _action(env, t)))
    return seen


def e1_spaces(make: Make) -> None:
    """E1, E9: observations belong to their space, and every number is finite."""
    with _opened(make) as env:
        for t, ts in enumerate(_played(env)):
            for i in range(env.num_envs):
                obs = jax.tree.map(lambda x, i=i: x[i], ts.obs)
                require(contains(env.observation_space, obs), f"E1: step {t}, stream {i}: the observation is outside")
            require(np.isfinite(ts.reward).all(), f"E9: step {t}: a reward is not finite")


def e2_ends(make: Make) -> None:
    """E2: `first[0]`, `first[t+1] == last[t]`, reward 0 and discount 1 at `first`, discount 0 only with `last`."""
    with _opened(make) as env:
        steps = jax.tree.map(lambda *xs: np.stack(xs), *_played(env))
    require(steps.first[0].all(), "E2: reset is not `first`")
    require((steps.first[1:] == steps.last[:-1]).all(), "E2: first[t+1] is not last[t]")
    require(not steps.reward[steps.first].any(), "E2: a reward at `first`")
    require((steps.discount[steps.first] == 1).all(), "E2: a discount other than 1 at `first`")
    require(not ((steps.discount == 0) & ~steps.last).any(), "E2: discount 0 without `last`")


def h4_copies(make: Make) -> None:
    """H4: an observation that was given never changes afterwards."""
    with _opened(make) as env:
        kept = [(ts.obs, jax.tree.map(np.copy, ts.obs)) for ts in _played(env, steps=20)]
        for t, (now, then) in enumerate(kept):
            close(now, then, what=f"H4: the observation of step {t}, looked at later,")


def h5_seeds(make: Make) -> None:
    """H5: equal seeds give equal streams, in one process or several; other seeds give others, where there is chance."""

    def lived(seed: int, vectorization: str = "sync") -> list[TimeStep]:
        with _opened(make, vectorization=vectorization) as env:
            return _played(env, seed, 60)

    first, again, other, spawned = lived(0), lived(0), lived(1), lived(0, "async")
    close(again, first, what="H5: the same seed played again,")
    close(spawned, first, what="H5: the same seed in processes of their own,")
    flat = lambda steps: np.concatenate([np.ravel(x) for ts in steps for x in jax.tree.leaves(ts.obs)])
    streams = [flat([jax.tree.map(lambda x, i=i: x[i], ts) for ts in first]) for i in range(STREAMS)]
    if not all(np.array_equal(x, streams[0]) for x in streams):
        require(not np.array_equal(flat(first), flat(other)), "H5: another seed gave the same streams")


LAWS: dict[str, Callable[[Make], None]] = {"E1": e1_spaces, "E2": e2_ends, "H4": h4_copies, "H5": h5_seeds}
