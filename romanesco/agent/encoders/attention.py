"""Encoders that attend to tokens of one observation. N tokens, D width, H heads, L layers.

Each call is a vector [D]; `explain` takes the same and also returns {name: weights [L H Nq Nk]}.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from romanesco.agent.encoders.reader import Matched, Reader, Weights, reader
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Space, describe
from romanesco.core.tokens import EntityTokens, FeatureTokens, FrameTokens, PatchTokens


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
        return Attention(Box((5,)), width=8, heads=2, key=k_encoder), jax.random.normal(k_obs, (5,))

    def __call__(self, obs: Array) -> Float[Array, "D"]:
        return self.explain(obs)[0]

    def explain(self, obs: Array) -> tuple[Float[Array, "D"], Weights]:
        """The same vector, and weights `self` [L H N N] and, if pooled by attention, `pool` [1 H 1 N]."""
        return self.reader(self.tokens(obs))


class Patches(eqx.Module):
    """Self-attention over the patches of an image [h w c], `patch` pixels a side; 1: over its cells (after ViT;
    Dosovitskiy et al., 2021).
    """

    tokens: PatchTokens
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
        patch: int = 8,
        control: str = "none",
        key: Key[Array, ""],
    ):
        if not isinstance(space, Box) or len(space.shape) != 3:
            raise BadInput(
                f"encoder=patches reads images [h w c], not {describe(space)}; use encoder=attention for vectors"
            )
        k_tokens, k_reader = jax.random.split(key)
        self.tokens = PatchTokens(space.shape, width, side=patch, key=k_tokens)
        settings = {"width": width, "heads": heads, "layers": layers, "mlp_ratio": mlp_ratio, "pool": pool}
        self.reader = reader(self.tokens, self.tokens.count, control=control, key=k_reader, **settings)

    @staticmethod
    def example(key: Key[Array, ""]) -> tuple["Patches", Float[Array, "h w c"]]:
        k_encoder, k_obs = jax.random.split(key)
        return Patches(Box((4, 6, 2)), width=8, heads=2, patch=2, key=k_encoder), jax.random.normal(k_obs, (4, 6, 2))

    def __call__(self, obs: Array) -> Float[Array, "D"]:
        return self.explain(obs)[0]

    def explain(self, obs: Array) -> tuple[Float[Array, "D"], Weights]:
        """The same vector, and weights `self` [L H N N] and, if pooled by attention, `pool` [1 H 1 N]; row by row."""
        return self.reader(self.tokens(obs))


class Entities(eqx.Module):
    """Self-attention over a set: {entities [N E], alive [N], self [S] optional}; `self` is one more token. Order does
    not matter, and dead entities are as if absent, whatever they hold.
    """

    tokens: EntityTokens
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
        control: str = "none",
        key: Key[Array, ""],
    ):
        shapes = {name: getattr(s, "shape", ()) for name, s in space.items()} if isinstance(space, dict) else {}
        shape, own = shapes.get("entities", ()), shapes.get("self", (0,))
        fits = len(shape) == 2 and shapes.get("alive") == shape[:1] and len(own) == 1
        if not fits or shapes.keys() - {"entities", "alive", "self"}:
            raise BadInput(
                f"encoder=entities reads {{entities [N E], alive [N], self [S] optional}}, not {describe(space)}; use "
                "encoder=cross for other dicts"
            )
        k_tokens, k_reader = jax.random.split(key)
        self.tokens = EntityTokens(shape, width, own=own[0], key=k_tokens)
        settings = {"width": width, "heads": heads, "layers": layers, "mlp_ratio": mlp_ratio, "pool": pool}
        self.reader = reader(self.tokens, self.tokens.count, control=control, key=k_reader, **settings)

    @staticmethod
    def example(key: Key[Array, ""]) -> tuple["Entities", dict[str, Array]]:
        k_encoder, k_entities, k_self = jax.random.split(key, 3)
        space = {"entities": Box((4, 3)), "alive": Box((4,), bool, False, True), "self": Box((2,))}
        obs = {"entities": jax.random.normal(k_entities, (4, 3)), "self": jax.random.normal(k_self, (2,))}
        alive = jnp.array([True, False, True, True])
        return Entities(space, width=8, heads=2, key=k_encoder), {**obs, "alive": alive}

    def __call__(self, obs: dict[str, Array]) -> Float[Array, "D"]:
        return self.explain(obs)[0]

    def explain(self, obs: dict[str, Array]) -> tuple[Float[Array, "D"], Weights]:
        """The same vector, and weights `self` [L H N N] and, if pooled by attention, `pool` [1 H 1 N]; the agent's own
        token is the last. A dead entity has weight 0, and reads nothing.
        """
        alive = obs["alive"].astype(bool)
        tokens = self.tokens(jnp.where(alive[:, None], obs["entities"], 0), obs.get("self"))
        return self.reader(tokens, jnp.concatenate([alive, jnp.ones(len(tokens) - len(alive), bool)]))
