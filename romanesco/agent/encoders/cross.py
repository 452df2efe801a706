"""The encoder of several modalities. N tokens of all of them, Nq queries, D width, H heads, L layers."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from romanesco.agent.encoders.reader import CrossReader, Matched, Weights, reader
from romanesco.agent.encoders.vector import flat_size, flatten
from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun
from romanesco.core.spaces import Box, Discrete, Space, describe, frozen
from romanesco.core.tokens import FeatureTokens, FrameTokens, PatchTokens


class WholeToken(eqx.Module):
    """One token of an observation of any space: a linear map of it as a vector, choices one-hot."""

    layer: eqx.nn.Linear
    space: Space = eqx.field(static=True)

    def __init__(self, space: Space, size: int, *, key: Key[Array, ""]):
        self.layer, self.space = lecun(flat_size(space), size, key=key), frozen(space)

    @property
    def count(self) -> int:
        return 1

    def __call__(self, obs: PyTree[Array]) -> Float[Array, "1 D"]:
        return dense(self.layer, flatten(self.space, obs))[None]


def modality(space: Space, size: int, patch: int, *, key: Key[Array, ""]) -> Any:
    """Tokens of one modality: of features [F], frames [k F] or an image [h w c]; anything else is one token."""
    match space:
        case Box(shape=(features,)):
            return FeatureTokens(features, size, key=key)
        case Box(shape=(_, _) as shape):
            return FrameTokens(shape, size, key=key)
        case Box(shape=(_, _, _) as shape):
            return PatchTokens(shape, size, side=patch, key=key)
    return WholeToken(space, size, key=key)


class CrossTokens(eqx.Module):
    """The tokens of all modalities, in the order of their names; each has a learned embedding of its name added."""

    parts: dict[str, Any]
    names: dict[str, Float[Array, "D"]]

    def __init__(self, spaces: dict[str, Space], size: int, *, patch: int, key: Key[Array, ""]):
        self.parts, self.names = {}, {}
        for name, k in zip(sorted(spaces), jax.random.split(key, len(spaces)), strict=True):
            k_part, k_name = jax.random.split(k)
            self.parts[name] = modality(spaces[name], size, patch, key=k_part)
            self.names[name] = jax.random.normal(k_name, (size,))

    @property
    def count(self) -> int:
        return sum(part.count for part in self.parts.values())

    def __call__(self, obs: dict[str, PyTree[Array]]) -> Float[Array, "N D"]:
        return jnp.concatenate([part(obs[name]) + self.names[name] for name, part in sorted(self.parts.items())])


class Cross(eqx.Module):
    """`queries` learned queries read the tokens of a dict of modalities, of any lengths; self-attention among the
    queries and pooling make one vector (after Perceiver; Jaegle et al., 2021). A vector has a token per feature, a
    matrix one per row, an image one per patch, anything else one.
    """

    tokens: CrossTokens
    reader: CrossReader | Matched

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 1,
        mlp_ratio: int = 2,
        pool: str = "attention",
        queries: int = 8,
        patch: int = 8,
        control: str = "none",
        key: Key[Array, ""],
    ):
        if not isinstance(space, dict):
            raise BadInput(f"encoder=cross reads a dict of modalities, not {describe(space)}; use encoder=attention")
        if queries < 2:
            raise BadInput(f"encoder.queries={queries}: at least 2 are needed, for they attend to one another")
        k_tokens, k_reader = jax.random.split(key)
        self.tokens = CrossTokens(space, width, patch=patch, key=k_tokens)
        settings = {"width": width, "heads": heads, "layers": layers, "mlp_ratio": mlp_ratio, "pool": pool}
        make = functools.partial(CrossReader, queries=queries)
        self.reader = reader(self.tokens, self.tokens.count, control=control, key=k_reader, make=make, **settings)

    @staticmethod
    def example(key: Key[Array, ""]) -> tuple["Cross", dict[str, Array]]:
        k_encoder, k_goal, k_past = jax.random.split(key, 3)
        space = {"goal": Box((3,)), "past": Box((2, 4)), "choice": Discrete(3)}
        obs = {"goal": jax.random.normal(k_goal, (3,)), "past": jax.random.normal(k_past, (2, 4))}
        return Cross(space, width=8, heads=2, queries=3, key=k_encoder), {**obs, "choice": jnp.int32(1)}

    def __call__(self, obs: dict[str, PyTree[Array]]) -> Float[Array, "D"]:
        return self.explain(obs)[0]

    def explain(self, obs: dict[str, PyTree[Array]]) -> tuple[Float[Array, "D"], Weights]:
        """The same vector, and weights `read` [1 H Nq N] of the modalities' tokens, `self` [L H Nq Nq] among the
        queries and, if pooled by attention, `pool` [1 H 1 Nq].
        """
        return self.reader(self.tokens(obs))
