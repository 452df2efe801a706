"""Transforms of what is seen. The entries `allowed` and `context` pass all of them."""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space, describe
from romanesco.core.types import TimeStep
from romanesco.envs.episodes import choose
from romanesco.envs.transforms import Transform, W, apart, joined


def _told(ts: TimeStep, see: Callable[[PyTree[Array]], PyTree[Array]]) -> TimeStep:
    """The step with another observation."""
    obs, kept = apart(ts.obs)
    return dataclasses.replace(ts, obs=joined(see(obs), kept))


def _mapped(change: Callable[[Space], Space], observation: Space) -> Space:
    """The observation space with every part of it changed."""
    parts, kept = apart(observation)
    return joined(jax.tree.map(change, parts), kept)


def _blank(observation: Space) -> PyTree[Array]:
    """One observation of zeros."""
    return jax.tree.map(lambda space: jnp.zeros(space.shape, space.dtype), apart(observation)[0])


def _last(blank: PyTree[Array], k: int) -> PyTree[Array]:
    """Room for the last k observations."""
    return jax.tree.map(lambda x: jnp.zeros((k, *x.shape), x.dtype), blank)


def _pushed(w: PyTree[Array], ts: TimeStep) -> PyTree[Array]:
    """The last k observations, oldest first; where an episode starts, its first one k times."""
    obs, _ = apart(ts.obs)
    full = jax.tree.map(lambda old, x: jnp.broadcast_to(x, old.shape), w, obs)
    moved = jax.tree.map(lambda old, x: jnp.concatenate([old[1:], x[None]]), w, obs)
    return choose(ts.first, full, moved)


class ObsDelay(Transform):
    """Observations are seen k steps late; an episode's first one until then."""

    k: int = eqx.field(static=True)
    blank: PyTree[Array]

    @staticmethod
    def of(k: int, observation: Space) -> "ObsDelay":
        if k < 1:
            raise BadInput(f"obs_delay={k}: at least 0 steps")
        return ObsDelay(k, _blank(observation))

    def init(self) -> W:
        return _last(self.blank, self.k + 1)

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        w = _pushed(w, ts)
        return w, _told(ts, lambda _: jax.tree.map(lambda x: x[0], w))


class NoVelocity(Transform):
    """Velocities are shown as 0: the shape stays, the state becomes hidden."""

    at: tuple[int, ...] = eqx.field(static=True)

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        still = lambda x: x.at[..., np.array(self.at)].set(0)
        return w, _told(ts, lambda obs: jax.tree.map(still, obs))


class Dropout(Transform):
    """Each number of a Box is shown as 0 with chance p, at every step anew; choices stay."""

    p: Float[Array, ""]
    at: tuple[int, ...] = eqx.field(static=True)  # which leaves of an observation are a Box

    @staticmethod
    def of(p: float, observation: Space) -> "Dropout":
        if not 0 <= p <= 1:
            raise BadInput(f"obs_dropout={p}: a chance, from 0 to 1")
        parts = jax.tree.leaves(apart(observation)[0])
        at = tuple(i for i, part in enumerate(parts) if isinstance(part, Box))
        if not at:
            raise BadInput(f"obs_dropout={p}: {describe(observation)} has no numbers to hide, only choices")
        return Dropout(jnp.asarray(p, jnp.float32), at)

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        def with_zero(space: Space) -> Space:
            if not isinstance(space, Box):
                return space
            low, high = space.bounds
            return Box(space.shape, space.dtype, np.minimum(low, 0), np.maximum(high, 0))

        return _mapped(with_zero, observation), action

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        def drop(obs: PyTree[Array]) -> PyTree[Array]:
            leaves, kind = jax.tree.flatten(obs)
            for i in self.at:
                hidden = jax.random.uniform(jax.random.fold_in(key, i), leaves[i].shape) < self.p
                leaves[i] = jnp.where(hidden, jnp.zeros_like(leaves[i]), leaves[i])
            return jax.tree.unflatten(kind, leaves)

        return w, _told(ts, drop)


class Noise(Transform):
    """Gaussian noise on all floats, of deviation `std` (one number, or one for each feature of a vector)."""

    std: Float[Array, "..."]

    @staticmethod
    def of(noise: float, scale: Sequence[float], observation: Space) -> "Noise":
        """Of deviation `noise` times `scale`; an empty scale is 1."""
        if noise < 0:
            raise BadInput(f"obs_noise={noise}: at least 0")
        parts = apart(observation)[0]
        parts = [part for part in jax.tree.leaves(parts) if _floats(part)]
        if not parts:
            raise BadInput(f"obs_noise={noise}: {describe(observation)} has no floats to disturb")
        if len(scale) and any(part.shape[-1:] != (len(scale),) for part in parts):
            raise BadInput(f"obs_scale: {len(scale)} numbers for {describe(observation)}; one a feature")
        return Noise(jnp.asarray(noise * np.asarray(scale) if len(scale) else noise, jnp.float32))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        open_ended = lambda space: Box(space.shape, space.dtype) if isinstance(space, Box) and _floats(space) else space
        return _mapped(open_ended, observation), action

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        def disturb(obs: PyTree[Array]) -> PyTree[Array]:
            leaves, kind = jax.tree.flatten(obs)
            for i, x in enumerate(leaves):
                if jnp.issubdtype(x.dtype, jnp.floating):
                    leaves[i] = x + self.std * jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
            return jax.tree.unflatten(kind, leaves)

        return w, _told(ts, disturb)


def _floats(space: Space) -> bool:
    return isinstance(space, Box) and np.issubdtype(space.dtype, np.floating)


class Stack(Transform):
    """The last k observations on a new leading axis, oldest first; refilled where an episode starts."""

    k: int = eqx.field(static=True)
    blank: PyTree[Array]

    @staticmethod
    def of(k: int, observation: Space) -> "Stack":
        if k < 1:
            raise BadInput(f"stack={k}: at least 1")
        return Stack(k, _blank(observation))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        return _mapped(self._stacked, observation), action

    def _stacked(self, space: Space) -> Space:
        match space:
            case Box():
                return Box((self.k, *space.shape), space.dtype, space.low, space.high)
            case Discrete(start=0):
                return MultiDiscrete((space.n,) * self.k)
            case MultiDiscrete():
                return MultiDiscrete((space.nvec,) * self.k)
        raise BadInput(f"stack: cannot stack {describe(space)}; supported are Box, MultiDiscrete and Discrete from 0")

    def init(self) -> W:
        return _last(self.blank, self.k)

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        w = _pushed(w, ts)
        return w, _told(ts, lambda _: w)
