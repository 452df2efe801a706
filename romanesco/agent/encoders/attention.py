"""Encoders that attend to tokens of one observation. N tokens, D width, H heads, L layers.

Each call is a vector [D]; `explain` takes the same and also returns {name: weights [L H Nq Nk]}.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from romanesco.agent.encoders.reader import Matched, Reader, Weights, reader
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Space, describe
from romanesco.core.tokens import FeatureTokens, FrameTokens


class Attention(eqx.Module):
    """Self-attention over the features of a vector [F], one token each or one per group, or over frames [k F], one
    token each, with learned or sinusoidal positions; then pooling (after FT-Transformer; Gorishniy et al., 2021).
    """

    tokens: FeatureTokens | FrameTokens
    reader: Reader | Matched

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 1,
        mlp_ratio: int = 2,
        pool: str = "attention",
        tokens: Sequence[Sequence[int]] = (),
        position: str = "learned",
        control: str = "none",
        key: Key[Array, ""],
    ):
        if not isinstance(space, Box) or len(space.shape) not in (1, 2):
            raise BadInput(
                f"encoder=attention reads a vector [F] or frames [k F], not {describe(space)}; use encoder=patches for "
                "images, entities or cross for dicts, mlp for choices"
            )
        k_tokens, k_reader = jax.random.split(key)
        if len(space.shape) == 1:
            self.tokens = FeatureTokens(space.shape[0], width, groups=tokens, key=k_tokens)
        elif tokens:
            raise BadInput(f"encoder.tokens groups the features of a vector; {describe(space)} has a token per frame")
        else:
            self.tokens = FrameTokens(space.shape, width, position=position, key=k_tokens)
        settings = {"width": width, "heads": heads, "layers": layers, "mlp_ratio": mlp_ratio, "pool": pool}
        self.reader = reader(self.tokens, self.tokens.count, control=control, key=k_reader, **settings)

    @staticmethod
    def example(key: Key[Array, ""]) -> tuple["Attention", Float[Array, "F"]]:
        k_encoder, k_obs = jax.random.split(key)
        return Attention(Box((5,)), width=8, heads=2, layers=2, key=k_encoder), jax.random.normal(k_obs, (5,))

    def __call__(self, obs: Array) -> Float[Array, "D"]:
        return self.explain(obs)[0]

    def explain(self, obs: Array) -> tuple[Float[Array, "D"], Weights]:
        """The same vector, and weights `self` [L H N N] and, if pooled by attention, `pool` [1 H 1 N]."""
        return self.reader(self.tokens(obs))
