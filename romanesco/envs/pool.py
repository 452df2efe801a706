"""Finite sets of worlds: episodes start in states made ahead, for worlds whose `init` is dear."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from romanesco.core.errors import BadInput
from romanesco.envs.around import Wrapped
from romanesco.envs.episodes import Altered, Dynamics, Episodes


class Pool(Altered):
    """A world whose episodes start in one of P states, drawn with replacement; P is the number of worlds.

    `refresh` replaces the next `renewed` of them, round robin.
    """

    dynamics: Dynamics
    worlds: PyTree[Array]  # [P ...] of the state
    next: Int[Array, ""]  # the first that `refresh` replaces
    renewed: int = eqx.field(static=True)

    @staticmethod
    def of(key: Key[Array, ""], dynamics: Dynamics, *, worlds: int, refresh: float) -> Pool:
        """P = `worlds` states by `init`, of which `refresh` replaces that share, at least one unless it is 0."""
        made = jax.lax.map(dynamics.init, jax.random.split(key, worlds))
        settled = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), made)
        return Pool(dynamics, settled, jnp.int32(0), max(round(refresh * worlds), int(refresh > 0)))

    def init(self, key: Key[Array, ""]) -> PyTree:
        i = jax.random.randint(key, (), 0, jax.tree.leaves(self.worlds)[0].shape[0])
        return jax.tree.map(lambda x: x[i], self.worlds)

    def refresh(self, key: Key[Array, ""]) -> Pool:
        size = jax.tree.leaves(self.worlds)[0].shape[0]
        at = (self.next + jnp.arange(self.renewed)) % size
        made = jax.lax.map(self.dynamics.init, jax.random.split(key, self.renewed))
        worlds = jax.tree.map(lambda old, new: old.at[at].set(new), self.worlds, made)
        return dataclasses.replace(self, worlds=worlds, next=(self.next + self.renewed) % size)


def pooled(key: Key[Array, ""], env: Any, *, worlds: int, refresh: float) -> Any:
    """-> the same world, its transforms kept, with a pool of `worlds` first states. Another kind raises `BadInput`."""
    if isinstance(env, Wrapped):
        return dataclasses.replace(env, env=pooled(key, env.env, worlds=worlds, refresh=refresh))
    if not isinstance(env, Episodes) or env.carries_over:
        raise BadInput(f"env.reset=pool: {type(env).__name__} has no first states of its own; use env.reset=exact")
    made = Pool.of(key, env.dynamics, worlds=worlds, refresh=refresh)
    return dataclasses.replace(env, dynamics=made, lazy_width=0)  # a gather is cheap


def refreshed(key: Key[Array, ""], env: Any) -> Any:
    """-> a world that `pooled` made, some of its first states replaced."""
    if isinstance(env, Wrapped):
        return dataclasses.replace(env, env=refreshed(key, env.env))
    return dataclasses.replace(env, dynamics=env.dynamics.refresh(key))


def memory(env: Any, worlds: int) -> int:
    """Bytes of a pool of `worlds` first states of `env`, before any is made."""
    shapes = jax.eval_shape(lambda key: pooled(key, env, worlds=worlds, refresh=0.0), jax.random.key(0))
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes) if hasattr(x.dtype, "itemsize"))
