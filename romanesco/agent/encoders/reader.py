"""What makes one vector of a set of tokens: attention, or a control in its place. N tokens, H heads, L layers."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.agent.encoders.choices import CONTROLS, GLIMPSES, POOLS
from romanesco.core.attention import Block, Pool
from romanesco.core.errors import BadInput, among
from romanesco.core.layers import MLP, Norm

MATCH = 0.02  # how far the parameters of a control may be apart
Weights = dict[str, Float[Array, "L H Nq Nk"]]


def check(count: int, width: int, heads: int, layers: int, pool: str, control: str) -> None:
    """Raises `BadInput` for settings that cannot be, and for fewer than two tokens."""
    if count < 2:
        raise BadInput(
            f"tokens={count}: weights would be constant 1, query and key would get no gradient; give two tokens or "
            "more, or encoder=mlp"
        )
    if heads < 1 or width % heads:
        divisors = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
        raise BadInput(f"encoder.heads={heads} does not divide encoder.width={width}; allowed: {divisors}")
    if layers < 1:
        raise BadInput(f"encoder.layers={layers}: at least 1 is needed")
    for name, value, options in (("pool", pool, POOLS), ("control", control, CONTROLS)):
        if value not in options:
            raise BadInput(f"encoder.{name}={value}{among(value, options)}")
    if control == "mlp_matched" and pool in GLIMPSES:
        raise BadInput(
            f"encoder.control=mlp_matched makes one vector of the tokens, encoder.pool={pool} leaves them to a memory; "
            "pool=attention"
        )


def scores(control: str) -> str:
    """What attention weights come from under a control."""
    return control if control in ("uniform", "frozen_qk") else "learned"


def block(width: int, heads: int, ratio: int, control: str, *, cross: bool = False, key: Key[Array, ""]) -> Block:
    """A block under a control."""
    residual = control != "no_residual"
    return Block(width, heads, ratio=ratio, cross=cross, scores=scores(control), residual=residual, key=key)


class Reader(eqx.Module):
    """Self-attention blocks, then one vector: `attention` pooling (a learned query per head), the `mean` of the live
    tokens, or a learned `summary` token that went through the blocks with the others. No live token: 0, or what the
    summary token says alone. Pooled `before` or `after`, the tokens themselves, with whether they live if that is told:
    a memory reads them (`memory.Glimpse`).
    """

    blocks: tuple[Block, ...]
    pool: Pool | None
    norm: Norm | None
    summary: Float[Array, "D"] | None

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        layers: int,
        mlp_ratio: int,
        pool: str,
        control: str = "none",
        key: Key[Array, ""],
    ):
        k_pool, k_summary, *keys = jax.random.split(key, layers + 2)
        self.blocks = tuple(block(width, heads, mlp_ratio, control, key=k) for k in keys)
        self.pool = Pool(width, heads, scores=scores(control), key=k_pool) if pool == "attention" else None
        self.norm = Norm(width) if pool in ("mean", "summary") else None
        self.summary = jax.random.normal(k_summary, (width,)) if pool == "summary" else None

    def __call__(
        self, tokens: Float[Array, "N D"], alive: Bool[Array, "N"] | None = None
    ) -> tuple[PyTree[Array], Weights]:
        """-> the vector, or the tokens, and weights by name. A gradient may only reach what dead tokens are made of if
        that is finite."""
        if alive is not None:
            tokens = jnp.where(alive[:, None], tokens, 0.0)
        if self.summary is not None:
            tokens = jnp.concatenate([tokens, self.summary[None]])
            alive = None if alive is None else jnp.append(alive, True)
        allow = None if alive is None else alive[:, None] & alive
        seen = []
        for layer in self.blocks:
            tokens, weights = layer(tokens, allow)
            seen.append(weights)
        maps = {"self": jnp.stack(seen)}
        if self.pool is not None:
            y, weights = self.pool(tokens, alive)
            return y, {**maps, "pool": weights[None]}
        if self.norm is None:
            return tokens if alive is None else (tokens, alive), maps
        tokens = self.norm(tokens)
        if self.summary is not None:
            return tokens[-1], maps
        if alive is None:
            return tokens.mean(0), maps
        return jnp.where(alive[:, None], tokens, 0.0).sum(0) / jnp.maximum(alive.sum(), 1), maps


class CrossReader(eqx.Module):
    """Learned queries read all tokens, and a Reader makes one vector of what they found (after Perceiver; Jaegle et
    al., 2021).
    """

    queries: Float[Array, "Nq D"]
    look: Block
    reader: Reader

    def __init__(
        self,
        width: int,
        *,
        queries: int,
        heads: int,
        mlp_ratio: int,
        control: str = "none",
        key: Key[Array, ""],
        **more,
    ):
        k_queries, k_look, k_reader = jax.random.split(key, 3)
        self.queries = jax.random.normal(k_queries, (queries, width))
        self.look = block(width, heads, mlp_ratio, control, cross=True, key=k_look)
        self.reader = Reader(width, heads=heads, mlp_ratio=mlp_ratio, control=control, key=k_reader, **more)

    def __call__(self, tokens: Float[Array, "N D"]) -> tuple[Float[Array, "D"], Weights]:
        """-> the vector, weights by name: `read` those of the queries, the others those among them."""
        found, weights = self.look(self.queries, source=tokens)
        y, maps = self.reader(found)
        return y, {"read": weights[None], **maps}


class Matched(eqx.Module):
    """The control without attention: all tokens side by side, dead ones 0, through one hidden layer."""

    mlp: MLP

    def __call__(
        self, tokens: Float[Array, "N D"], alive: Bool[Array, "N"] | None = None
    ) -> tuple[Float[Array, "D"], Weights]:
        tokens = tokens if alive is None else jnp.where(alive[:, None], tokens, 0.0)
        return self.mlp(tokens.reshape(-1)), {}


def _size(tree) -> int:
    return sum(x.size for x in jax.tree.leaves(tree))


def matched(build: Callable, tokens: Any, count: int, width: int, *, key: Key[Array, ""]) -> Matched:
    """In place of what `build(key)` makes of `count` tokens: parameters, those of `tokens` included, match within 2 %.

    Raises `BadInput` with the nearest number if no hidden width does.
    """
    own = _size(tokens)
    whole = own + _size(jax.eval_shape(build, key))
    unit = count * width + 1 + width  # weights and bias of one hidden feature
    hidden = max(1, round((whole - own - width) / unit))
    nearest_size = own + hidden * unit + width
    if abs(nearest_size / whole - 1) > MATCH:
        raise BadInput(
            f"encoder.control=mlp_matched: {whole} parameters are to be matched within {MATCH:.0%}, the nearest over "
            f"{count} flattened tokens is {nearest_size}, {hidden} wide; add layers, or take fewer tokens"
        )
    return Matched(MLP(count * width, [hidden], act="gelu", out=width, key=key))


def reader(
    tokens: Any, count: int, *, width: int, control: str, key: Key[Array, ""], make: Callable = Reader, **settings
) -> Any:
    """What reads these tokens: `make(width, control=, key=, **settings)`, or the control of its size."""
    check(count, width, settings["heads"], settings["layers"], settings["pool"], control)
    if control == "mlp_matched":
        return matched(lambda key: make(width, key=key, **settings), tokens, count, width, key=key)
    return make(width, control=control, key=key, **settings)
