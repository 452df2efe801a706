"""An actor that looks at nothing: uniform over its actions."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.core.actions import distribution, head_sizes
from romanesco.core.spaces import Box, Discrete, Space, frozen
from romanesco.core.types import Output
from romanesco.core.values import Point


def random_action(key: Key[Array, ""], space: Space) -> PyTree[Array]:
    """A uniform draw from an action space; where a bound is infinite, a standard normal one clipped to the other."""
    parts, treedef = jax.tree.flatten(space)

    def one(key, space):
        match space:
            case Box():
                low, high = space.bounds
                finite = np.isfinite(low) & np.isfinite(high)
                floor, width = np.where(finite, low, 0.0), np.where(finite, high - np.where(finite, low, 0.0), 0.0)
                k_uniform, k_normal = jax.random.split(key)
                uniform = floor + width * jax.random.uniform(k_uniform, space.shape)
                x = jnp.where(finite, uniform, jax.random.normal(k_normal, space.shape))
                return jnp.clip(x, low, high).astype(space.dtype)
            case Discrete():
                return jax.random.randint(key, (), space.start, space.start + space.n, space.dtype)
        return jax.random.randint(key, space.shape, 0, np.asarray(space.nvec), space.dtype)

    keys = jax.random.split(key, len(parts))
    return jax.tree.unflatten(treedef, [one(k, part) for k, part in zip(keys, parts, strict=True)])


class Draws(eqx.Module):
    """A uniform distribution over a Box."""

    space: Box = eqx.field(static=True)

    def sample(self, key: Key[Array, ""]) -> Array:
        return random_action(key, self.space)

    def mode(self) -> Array:
        return jnp.zeros(self.space.shape, self.space.dtype)


class Uniform(eqx.Module):
    """Plays at random, over what `allowed` allows; an `Actor` to be judged, not to learn."""

    action_space: Space = eqx.field(static=True)

    def __init__(self, action_space: Space):
        self.action_space = frozen(action_space)

    def init_carry(self) -> Float[Array, ""]:
        return jnp.zeros(())

    def step(self, carry: Array, obs: PyTree[Array], first: Bool[Array, ""]) -> tuple[Array, Output]:
        if isinstance(self.action_space, Box):
            said = Draws(self.action_space)
        else:
            allowed = obs.get("allowed") if isinstance(obs, dict) else None
            logits, means = head_sizes(self.action_space)
            said = distribution(self.action_space, jnp.zeros(logits + means), jnp.zeros(means), allowed)
        return carry, Output(said, Point(jnp.zeros(())), jnp.zeros(1))  # pyright: ignore
