"""Playing episodes to judge an agent, without learning from them. N streams."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from romanesco.agent.rollout import Streams, scores, start
from romanesco.core.actions import enter
from romanesco.core.types import Actor, Env

STREAMS = 64  # at most, side by side
PATIENCE = 100_000  # steps after which an episode of a world without a limit is given up


def evaluate(
    key: Key[Array, ""], env: Env, actor: Actor, *, episodes: Int[Array, ""] | int, greedy: Bool[Array, ""] | bool,
    most: int | None = None, streams: int = STREAMS,
) -> dict[str, Float[Array, "most"]]:  # fmt: skip
    """`env.metrics` of each episode, in a fixed order; pure.

    N <= `streams` of them each play a fixed share, counted from their own reset: taking the first to finish would
    favour short episodes. Episode e is number e // N of stream e % N. One that never ends is NaN, as are those from
    `episodes` on, which may be traced where the program is made for `most` of them.
    """
    most = int(episodes) if most is None else most
    n = min(streams, most)
    share = jnp.maximum(-(-(episodes - jnp.arange(n)) // n), 0)  # of the episodes i, i + n, ... below `episodes`
    depth = -(-most // n)
    k_start, k_play = jax.random.split(key)

    def choose(key, carry, obs, first):
        carry, said = actor.step(carry, obs, first)
        return carry, jax.tree.map(partial(jnp.where, greedy), said.dist.mode(), said.dist.sample(key))

    def play(now):
        t, streams, done, table = now
        k_act, k_env = jax.random.split(jax.random.fold_in(k_play, t))
        ts = streams.ts
        carry, action = jax.vmap(choose)(jax.random.split(k_act, n), streams.carry, ts.obs, ts.first)
        env_state, ts = jax.vmap(env.step)(
            jax.random.split(k_env, n), streams.env_state, enter(env.action_space, action)
        )
        ended = ts.last & (done < share)
        slot = jnp.where(ended, done, depth)  # the slot past the end takes what nobody asked for
        metrics = jax.vmap(partial(scores, env))(env_state)
        table = {k: s.at[jnp.arange(n), slot].set(metrics[k]) for k, s in table.items()}
        return t + 1, Streams(env_state, carry, ts), done + ended, table

    begun = start(k_start, env, actor, n)
    names = jax.eval_shape(jax.vmap(partial(scores, env)), begun.env_state)
    table = {name: jnp.full((n, depth + 1), jnp.nan) for name in names}
    limit = (PATIENCE if env.max_steps is None else env.max_steps + 1) * share[0] + 1
    now = (jnp.int32(0), begun, jnp.zeros(n, jnp.int32), table)
    *_, table = jax.lax.while_loop(lambda now: (now[0] < limit) & (now[2] < share).any(), play, now)
    order = np.arange(most)
    return {name: s[order % n, order // n] for name, s in table.items()}


def episode(key: Key[Array, ""], env: Env, actor: Actor, *, greedy: bool = True) -> tuple[list[Any], dict[str, float]]:
    """One episode of one stream -> every environment state of it, for `env.render`, and its metrics."""

    @jax.jit
    def tick(key, state, carry, ts):
        k_act, k_env = jax.random.split(key)
        carry, said = actor.step(carry, ts.obs, ts.first)
        action = said.dist.mode() if greedy else said.dist.sample(k_act)
        return *env.step(k_env, state, enter(env.action_space, action)), carry

    k_start, k_play = jax.random.split(key)
    state, ts = env.reset(k_start)
    carry, states = actor.init_carry(), [state]
    while not ts.last and len(states) <= PATIENCE:
        state, ts, carry = tick(jax.random.fold_in(k_play, len(states)), state, carry, ts)
        states.append(state)
    return states, {name: float(x) for name, x in scores(env, state).items()}
