"""Random play."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.core.spaces import Box, Discrete, Space


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
