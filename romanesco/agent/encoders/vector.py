"""Encoders that see an observation as one vector of numbers."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from romanesco.core.errors import BadInput
from romanesco.core.layers import ACTIVATIONS, MLP, dense, orthogonal
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space, frozen

ONE_HOT = 1024  # more choices than this are given as one number


def flatten(space: Space, obs: PyTree[Array]) -> Float[Array, "N"]:
    """An observation of `space` as one vector: choices one-hot, bytes over 255, trees in the order of their keys."""
    match space:
        case dict():
            return jnp.concatenate([flatten(space[k], obs[k]) for k in sorted(space)])
        case tuple():
            return jnp.concatenate([flatten(s, o) for s, o in zip(space, obs, strict=True)])
        case Discrete() if space.n <= ONE_HOT:
            return jax.nn.one_hot(obs - space.start, space.n)
        case MultiDiscrete() if max(space.sizes) <= ONE_HOT:
            rows = jnp.ravel(obs)
            return jnp.concatenate([jax.nn.one_hot(rows[i], n) for i, n in enumerate(space.sizes)])
    numbers = jnp.ravel(obs).astype(jnp.float32)
    return numbers / 255 if isinstance(space, Box) and space.dtype == np.uint8 else numbers


def flat_size(space: Space) -> int:
    """The length of `flatten`'s vector."""
    match space:
        case dict():
            return sum(map(flat_size, space.values()))
        case tuple():
            return sum(map(flat_size, space))
        case Discrete():
            return space.n if space.n <= ONE_HOT else 1
        case MultiDiscrete() if max(space.sizes) <= ONE_HOT:
            return sum(space.sizes)
    return int(np.prod(space.shape))


class Identity(eqx.Module):
    """The observation itself, as one vector."""

    space: Space = eqx.field(static=True)

    def __init__(self, space: Space, *, key: Key[Array, ""]):
        del key
        self.space = frozen(space)

    def __call__(self, obs: PyTree[Array]) -> Float[Array, "N"]:
        return flatten(self.space, obs)


class Linear(eqx.Module):
    """act(W x + b), W orthogonal of gain sqrt 2."""

    layer: eqx.nn.Linear
    space: Space = eqx.field(static=True)
    act: str = eqx.field(static=True)

    def __init__(self, space: Space, *, width: int = 128, act: str = "relu", key: Key[Array, ""]):
        self.layer = orthogonal(flat_size(space), width, key=key)
        self.space, self.act = frozen(space), act

    def __call__(self, obs: PyTree[Array]) -> Float[Array, "D"]:
        return ACTIVATIONS[self.act](dense(self.layer, flatten(self.space, obs)))


class Mlp(eqx.Module):
    """Dense layers of the given widths, an activation after each."""

    layers: MLP
    space: Space = eqx.field(static=True)

    def __init__(self, space: Space, *, hidden: Sequence[int] = (64, 64), act: str = "tanh", key: Key[Array, ""]):
        if not hidden:
            raise BadInput("encoder.hidden=[] has no layer; give widths such as [64,64], or encoder=identity")
        self.layers = MLP(flat_size(space), hidden, act=act, key=key)
        self.space = frozen(space)

    def __call__(self, obs: PyTree[Array]) -> Float[Array, "D"]:
        return self.layers(flatten(self.space, obs))
