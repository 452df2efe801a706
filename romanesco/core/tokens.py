"""Observations as tokens [N D]: a set that attention can read. N tokens, D width, F features, k frames."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun

POSITIONS = ("learned", "sinusoidal")


def numbers(x: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Anything as floats; bytes are divided by 255."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.float32) / (255 if x.dtype == jnp.uint8 else 1)


def sinusoids(count: int, size: int) -> Float[np.ndarray, "count size"]:
    """Positions 0, 1, ... as sines, then cosines, of frequencies 10000^(-2 i / size) (Vaswani et al., 2017)."""
    angles = np.arange(count)[:, None] * 10_000.0 ** (-2 * np.arange((size + 1) // 2) / size)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)[:, :size].astype(np.float32)


class FeatureTokens(eqx.Module):
    """One token per feature i of a vector: x_i w_i + b_i + id_i, with w_i, b_i and id_i [D] of its own
    (FT-Transformer; Gorishniy et al., 2021). A group of features is one token: the sum of its x_i w_i, + b + id.
    """

    weight: Float[Array, "F D"]  # rows in the order of the groups
    bias: Float[Array, "N D"]
    identity: Float[Array, "N D"]
    groups: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    features: int = eqx.field(static=True)

    def __init__(self, features: int, size: int, *, groups: Sequence[Sequence[int]] = (), key: Key[Array, ""]):
        """`groups` are the features of each token, one each if there are none."""
        k_weight, k_identity = jax.random.split(key)
        self.features, self.groups = features, tuple(map(tuple, groups)) or tuple((i,) for i in range(features))
        _check_groups(self.groups, features)
        fan_in = np.repeat([len(group) for group in self.groups], [len(group) for group in self.groups])
        self.weight = jax.random.normal(k_weight, (len(fan_in), size)) / jnp.sqrt(fan_in)[:, None]
        self.bias = jnp.zeros((len(self.groups), size))
        self.identity = jax.random.normal(k_identity, (len(self.groups), size))

    @property
    def count(self) -> int:
        return len(self.groups)

    def __call__(self, x: Shaped[Array, "F"]) -> Float[Array, "N D"]:
        expect(x, (self.features,))
        parts = numbers(x)[np.concatenate(self.groups)][:, None] * self.weight
        if len(parts) > self.count:
            ends = np.cumsum([len(group) for group in self.groups])[:-1]
            parts = jnp.stack([part.sum(0) for part in jnp.split(parts, ends)])
        return parts + self.bias + self.identity


class FrameTokens(eqx.Module):
    """One token per frame of [k F]: one linear map for all, and the frame's position, learned or sinusoidal."""

    layer: eqx.nn.Linear
    position: Float[Array, "k D"] | None
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, *, position: str = "learned", key: Key[Array, ""]):
        k_layer, k_position = jax.random.split(key)
        self.layer, self.shape = lecun(shape[1], size, key=k_layer), shape
        self.position = jax.random.normal(k_position, (shape[0], size)) if position == "learned" else None

    @property
    def count(self) -> int:
        return self.shape[0]

    def __call__(self, x: Shaped[Array, "k F"]) -> Float[Array, "k D"]:
        expect(x, self.shape)
        tokens = dense(self.layer, numbers(x))
        return tokens + (sinusoids(*tokens.shape) if self.position is None else self.position)


class PatchTokens(eqx.Module):
    """One token per patch of `side` x `side` pixels of an image [h w c], row by row: one linear map for all, and the
    learned positions of its row and its column (after ViT; Dosovitskiy et al., 2021). A side of 1: one per cell.
    """

    layer: eqx.nn.Linear
    row: Float[Array, "rows 1 D"]
    column: Float[Array, "columns D"]
    side: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, *, side: int = 1, key: Key[Array, ""]):
        h, w, c = shape
        if side < 1 or h % side or w % side:
            sides = [str(p) for p in range(1, min(h, w) + 1) if h % p == w % p == 0]
            raise BadInput(f"encoder.patch={side} must divide an image of {h} x {w}; allowed: {', '.join(sides)}")
        k_layer, k_row, k_column = jax.random.split(key, 3)
        self.layer = lecun(side * side * c, size, key=k_layer)
        self.row = jax.random.normal(k_row, (h // side, 1, size)) / 2**0.5
        self.column = jax.random.normal(k_column, (w // side, size)) / 2**0.5
        self.side, self.shape = side, shape

    @property
    def count(self) -> int:
        return len(self.row) * len(self.column)

    def __call__(self, image: Shaped[Array, "h w c"]) -> Float[Array, "N D"]:
        expect(image, self.shape)
        rows, columns, p = len(self.row), len(self.column), self.side
        patches = numbers(image).reshape(rows, p, columns, p, -1).swapaxes(1, 2).reshape(rows, columns, -1)
        tokens = dense(self.layer, patches) + self.row + self.column
        return tokens.reshape(self.count, -1)


class EntityTokens(eqx.Module):
    """One token per entity of [N E], and with `own` > 0 one of the agent's own numbers [own], last: a linear map and
    a learned embedding for either kind.
    """

    entity: eqx.nn.Linear
    own: eqx.nn.Linear | None
    kind: Float[Array, "kinds D"]
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, *, own: int = 0, key: Key[Array, ""]):
        k_entity, k_own, k_kind = jax.random.split(key, 3)
        self.entity, self.shape = lecun(shape[1], size, key=k_entity), shape
        self.own = lecun(own, size, key=k_own) if own else None
        self.kind = jax.random.normal(k_kind, (2 if own else 1, size))

    @property
    def count(self) -> int:
        return self.shape[0] + (self.own is not None)

    def __call__(self, entities: Shaped[Array, "N E"], own: Shaped[Array, "S"] | None = None) -> Float[Array, "M D"]:
        expect(entities, self.shape)
        tokens = dense(self.entity, numbers(entities)) + self.kind[0]
        if self.own is None or own is None:
            return tokens
        return jnp.concatenate([tokens, (dense(self.own, numbers(own)) + self.kind[1])[None]])


def expect(x: Shaped[Array, "..."], shape: tuple[int, ...]) -> None:
    """Raises `BadInput` if an observation has not the shape that its tokens were built for."""
    if x.shape != shape:
        raise BadInput(f"observation={x.shape}: the encoder was built for {shape}; build another for this world")


def _check_groups(groups: tuple[tuple[int, ...], ...], features: int) -> None:
    shown = "[" + ",".join("[" + ",".join(map(str, group)) + "]" for group in groups) + "]"
    members = [i for group in groups for i in group]
    if wrong := [i for i in members if not 0 <= i < features]:
        raise BadInput(f"encoder.tokens={shown}: no feature {wrong[0]}; the observation has 0..{features - 1}")
    if not all(groups) or any(len(set(group)) < len(group) for group in groups):
        raise BadInput(f"encoder.tokens={shown}: a token is a list of one or more different features, such as [0,2]")
    if left := sorted(set(range(features)) - set(members)):
        raise BadInput(f"encoder.tokens={shown} leaves out features {left}; give each a token")
