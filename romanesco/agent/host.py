"""Collecting and judging where the world lies outside the program. T time, B streams.

The same Rollout and the same numbers as `collect` and `evaluate` (law C1): keys are split alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.agent.evaluate import PATIENCE
from romanesco.agent.rollout import Streams, act, finish
from romanesco.core.actions import enter
from romanesco.core.clock import Clock
from romanesco.core.types import Actor, HostEnv, Rollout, TimeStep

STREAMS = 16  # of an evaluation, at most


@functools.lru_cache(maxsize=64)
def _flat(function: Callable, kinds: tuple[Any, ...]) -> Callable:
    """`function` of trees as a compiled function of their leaves, which a tick flattens no more."""

    @functools.wraps(function)
    def flat(*leaves):
        return function(*map(jax.tree.unflatten, kinds, leaves))

    return jax.jit(flat)


def compiled(function: Callable, *trees: PyTree) -> Any:
    """Calls `function(*trees)`, compiled; faster than `jax.jit` for trees of many classes."""
    leaves, kinds = zip(*map(jax.tree.flatten, trees), strict=True)
    return _flat(function, kinds)(*leaves)


def _keys(world: Any, key: Key[Array, ""], n: int) -> tuple[Array, Array, Array]:
    """[B] keys of the world, of actions on their way in, of steps on their way out: as `Wrapped` splits them."""
    keys = jax.random.split(key, n)
    if not world.transforms:
        return keys, keys, keys
    world_keys, k_before, k_after = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
    return world_keys, k_before, k_after


def _entering(world: Any, key: Key[Array, ""], ws: PyTree, action: PyTree[Array]) -> tuple:
    """-> the world's keys, those of the way out, ws, and actions as the world receives them."""
    k_world, k_before, k_after = _keys(world, key, jax.tree.leaves(action)[0].shape[0])
    ws, action = jax.vmap(world.before)(k_before, ws, enter(world.action_space, action))
    return k_world, k_after, ws, action


def _tick(world, actor, ws, carry, ts, keys, t) -> tuple:
    k_act, k_env = jax.random.split(keys[t])
    carry, action, log_prob, value = act(k_act, actor, carry, ts)
    return (carry, action, log_prob, value), _entering(world, k_env, ws, action)


def _choose(world, actor, ws, carry, ts, key, t, greedy) -> tuple:
    def one(key, carry, obs, first):
        carry, said = actor.step(carry, obs, first)
        return carry, jax.tree.map(functools.partial(jnp.where, greedy), said.dist.mode(), said.dist.sample(key))

    k_act, k_env = jax.random.split(jax.random.fold_in(key, t))
    carry, action = jax.vmap(one)(jax.random.split(k_act, ts.reward.shape[0]), carry, ts.obs, ts.first)
    return carry, _entering(world, k_env, ws, action)


def _settle(world, key, ws, ts) -> tuple:
    return jax.vmap(world.after)(key, ws, ts)


def _settled(world, key, ws, ts: TimeStep) -> tuple[PyTree, TimeStep]:
    return compiled(_settle, world, key, ws, ts) if world.transforms else (ws, ts)


def begin(key: Key[Array, ""], world: Any, env: HostEnv, actor: Actor) -> Streams:
    """Fresh episodes and empty memories; `env_state` is what the transforms keep."""
    k_world, _, k_after = _keys(world, key, env.num_envs)
    ts = env.reset(k_world)
    ws = jax.tree.map(lambda x: jnp.broadcast_to(x, (env.num_envs, *x.shape)), world.init())
    ws, ts = _settled(world, k_after, ws, ts)
    carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (env.num_envs, *x.shape)), actor.init_carry())
    if parameters := jax.tree.leaves(actor):
        # where later ones will lie, or ticks are compiled twice
        ws, carry = jax.device_put((ws, carry), parameters[0].sharding)
    return Streams(ws, carry, ts)


def _seen(world: Any, ts: TimeStep) -> TimeStep:
    """A step as ticks get it: from the world itself as NumPy arrays."""
    return ts if world.transforms else jax.tree.map(np.asarray, ts)


def _stacked(rows: list[PyTree]) -> PyTree:
    return jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *rows)


def collect_host(
    key: Key[Array, ""],
    world: Any,
    env: HostEnv,
    actor: Actor,
    streams: Streams,
    horizon: int,
    clock: Clock | None = None,
) -> tuple[Streams, Rollout, dict[str, np.ndarray]]:
    """T steps of every stream -> streams, rollout, and the metrics of the episodes that ended, [episodes] each. The
    clock tells the world (`env`) and the agent (`policy`) apart."""
    clock = clock or Clock("policy")
    keys = jax.random.split(key, horizon)
    ws, carry, ts = streams.env_state, streams.carry, _seen(world, streams.ts)
    seen, ended = [], []
    for t in range(horizon):
        with clock("policy"):
            (carry, *said), (k_world, k_after, ws, entered) = compiled(
                _tick, world, actor, ws, carry, ts, keys, np.int32(t)
            )
            entered = jax.tree.map(np.asarray, entered)
        seen.append((ts, *said))
        with clock("env"):
            ws, ts = _settled(world, k_after, ws, env.step(k_world, entered))
        if np.any(last := np.asarray(ts.last)):
            ended.append({name: x[last] for name, x in scores(world, env).items()})
    after = Streams(ws, carry, ts)
    with clock("policy"):
        rollout = compiled(finish, actor, streams.carry, after, *_stacked(seen))
    return after, rollout, _episodes(ended)


def scores(world: Any, env: HostEnv) -> dict[str, np.ndarray]:
    """The environment's metrics; where it tells no `success`, that is a return of at least the threshold."""
    metrics = {name: np.asarray(x, np.float32) for name, x in env.metrics().items()}
    if "success" not in metrics and world.threshold is not None:
        metrics["success"] = (metrics["return"] >= world.threshold).astype(np.float32)
    return metrics


def _episodes(ended: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = {name: None for row in ended for name in row}
    return {
        name: np.concatenate([row.get(name, np.full_like(row["return"], np.nan)) for row in ended]) for name in names
    }


def evaluate_host(
    key: Key[Array, ""],
    world: Any,
    env: HostEnv,
    actor: Actor,
    *,
    episodes: int,
    greedy: bool,
    look: Callable[[], Any] = lambda: None,
) -> dict[str, np.ndarray]:
    """The metrics [episodes] of each episode, in a fixed order. Episode e is number e // B of stream e % B, counted
    from the stream's own reset. One that never ends is NaN. `look` is called at every step."""
    n = env.num_envs
    share = np.array([len(range(i, episodes, n)) for i in range(n)])
    k_start, k_play = jax.random.split(key)
    streams = begin(k_start, world, env, actor)
    ws, carry, ts = streams.env_state, streams.carry, streams.ts
    done, table = np.zeros(n, int), {"return": np.full(episodes, np.nan, np.float32)}
    limit = (PATIENCE if world.max_steps is None else world.max_steps + 1) * int(share.max()) + 1
    for t in range(limit):
        look()
        carry, (k_world, k_after, ws, entered) = compiled(
            _choose, world, actor, ws, carry, ts, k_play, np.int32(t), np.bool_(greedy)
        )
        ws, ts = _settled(world, k_after, ws, env.step(k_world, jax.tree.map(np.asarray, entered)))
        for i in np.flatnonzero(np.asarray(ts.last) & (done < share)):
            for name, x in scores(world, env).items():
                table.setdefault(name, np.full(episodes, np.nan, np.float32))[done[i] * n + i] = x[i]
            done[i] += 1
        if (done >= share).all():
            look()
            break
    return table
