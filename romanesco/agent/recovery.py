"""How long one frame that no world would show leads an agent astray (after POPGym Arcade, arXiv 2503.01450)."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from romanesco.agent.agent import ALLOWED
from romanesco.agent.rollout import start
from romanesco.core.actions import enter
from romanesco.core.types import Actor, Env

TOLERANCE = 0.01  # nats between two policies that count as one
LONGEST = 1000  # steps of an episode that are looked at
LOUD = 3.0  # standard deviation of the noise that stands in for a frame of floats


def poisoned(key: Key[Array, ""], obs: PyTree[Array]) -> PyTree[Array]:
    """Noise of an observation's shape: floats are normal of deviation 3, bytes uniform, others shuffled.

    The entry `allowed` stays: it tells what can be done, not what is seen.
    """
    if isinstance(obs, dict) and ALLOWED in obs:
        rest = {name: x for name, x in obs.items() if name != ALLOWED}
        return {**poisoned(key, rest), ALLOWED: obs[ALLOWED]}
    leaves, structure = jax.tree.flatten(obs)

    def noise(key, x):
        if jnp.issubdtype(x.dtype, jnp.inexact):
            return LOUD * jax.random.normal(key, x.shape, x.dtype)
        if x.dtype == jnp.uint8:
            return jax.random.bits(key, x.shape, x.dtype)
        return jax.random.permutation(key, x.reshape(-1)).reshape(x.shape)

    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([noise(k, x) for k, x in zip(keys, leaves, strict=True)])


def recovery(
    key: Key[Array, ""], env: Env, actor: Actor, *, episodes: int, steps: int
) -> tuple[Float[Array, "episodes"], Bool[Array, "episodes"]]:
    """Steps that the policy needs after a poisoned frame in the middle of an episode, and whether it recovers; pure.

    Each greedy episode, of at most `steps` steps, is seen twice: as it is, and with one frame replaced by noise; the
    actions are those of the first. Recovery is the number of steps after the frame until both policies stay within
    0.01 nats (Kullback-Leibler) to the end of the episode; one whose last decision is still off never recovers.
    """
    k_start, k_play, k_noise = jax.random.split(key, 3)
    begun = start(k_start, env, actor, episodes)

    def play(at: Int[Array, "episodes"]) -> tuple[Bool[Array, "T episodes"], Float[Array, "T episodes"]]:
        """Whether each step belongs to the first episode, and how far the policies are apart."""

        def one(now, t):
            state, carry, other, ts, live = now
            false = jax.vmap(poisoned)(jax.random.split(jax.random.fold_in(k_noise, t), episodes), ts.obs)
            seen = jax.tree.map(lambda x, y: jax.vmap(jnp.where)(at == t, x, y), false, ts.obs)
            carry, said = jax.vmap(actor.step)(carry, ts.obs, ts.first)
            other, heard = jax.vmap(actor.step)(other, seen, ts.first)
            apart = jax.vmap(lambda p, q: p.kl(q))(said.dist, heard.dist)
            action = enter(env.action_space, jax.vmap(lambda dist: dist.mode())(said.dist))
            keys = jax.random.split(jax.random.fold_in(k_play, t), episodes)
            state, ts = jax.vmap(env.step)(keys, state, action)
            return (state, carry, other, ts, live & ~ts.last), (live, apart)

        now = begun.env_state, begun.carry, begun.carry, begun.ts, jnp.ones(episodes, bool)
        return jax.lax.scan(one, now, jnp.arange(steps))[1]

    live, _ = play(jnp.full(episodes, -1))
    length = live.sum(0)
    middle = length // 2
    live, apart = play(middle)
    off = live & (apart > TOLERANCE)
    last = jnp.where(off.any(0), steps - 1 - jnp.argmax(off[::-1], 0), middle - 1)
    return (last + 1 - middle).astype(jnp.float32), last < length - 1


_recovery = jax.jit(recovery, static_argnames=("episodes", "steps"))


def summary(key: Key[Array, ""], env: Env, actors: Iterable[Actor], *, episodes: int) -> tuple[float, float | None]:
    """Over all actors' episodes: the share that recovers, and the median of their steps (None where none does)."""
    steps = min(env.max_steps or LONGEST, LONGEST)
    found = [_recovery(key, env, actor, episodes=episodes, steps=steps) for actor in actors]
    took, recovers = (np.concatenate([np.asarray(one[i]) for one in found]) for i in (0, 1))
    return float(recovers.mean()), float(np.median(took[recovers])) if recovers.any() else None
