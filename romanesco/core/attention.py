"""Masked multi-head attention. Nq queries, Nk or N tokens, H heads, d head width, D = H d."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import Norm, dense, lecun, widen


def attend(
    q: Float[Array, "Nq H d"],
    k: Float[Array, "Nk H d"],
    v: Float[Array, "Nk H e"],
    bias: Float[Array, "#H #Nq #Nk"] | None = None,
    allow: Bool[Array, "Nq Nk"] | None = None,
) -> tuple[Float[Array, "Nq H e"], Float[Array, "H Nq Nk"]]:
    """softmax(q k^T / sqrt d + bias) v in every head (Vaswani et al., 2017) -> read-outs, weights.

    Where `allow` is False the weight is exactly 0, and a query that may read nothing reads 0. What a token holds, NaN
    included, reaches neither read-outs nor gradients of those who may not read it. Weights are at least float32.
    """
    unsound = jnp.zeros(k.shape[0], bool)
    if allow is not None:
        unsound = ~(jnp.isfinite(k).all((1, 2)) & jnp.isfinite(v).all((1, 2)))
        k, v = (jnp.where(unsound[:, None, None], 0.0, x) for x in (k, v))
        q = jnp.where(allow.any(1)[:, None, None], q, 0.0)
    logits = widen(jnp.einsum("qhd,khd->hqk", q, k)) / q.shape[-1] ** 0.5
    if bias is not None:
        logits += bias
    if allow is not None:  # a NaN in k or v would reach all; in the logits it reaches those who may read it
        logits = jnp.where(unsound, jnp.nan, logits)
    weights = jax.nn.softmax(logits, where=allow)
    return jnp.einsum("hqk,khd->qhd", weights.astype(v.dtype), v), weights


def _still(module):
    return jax.tree.map(jax.lax.stop_gradient, module)


class MultiHead(eqx.Module):
    """Multi-head attention of queries to tokens (Vaswani et al., 2017); both may be the same set.

    `scores` says what weights depend on: `learned` projections of queries and keys; `uniform`, none: every token that
    may be read weighs the same, and there are no such projections; `frozen_qk`: they stay as they were drawn.
    """

    query: eqx.nn.Linear | None
    key: eqx.nn.Linear | None
    value: eqx.nn.Linear
    leave: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    scores: str = eqx.field(static=True)

    def __init__(
        self, size: int, heads: int, *, query_size: int | None = None, scores: str = "learned", key: Key[Array, ""]
    ):
        """`query_size` is the width of what queries are made of, `size` unless given."""
        keys = jax.random.split(key, 4)
        plain = scores == "uniform"
        self.query = None if plain else lecun(query_size or size, size, key=keys[0])
        self.key = None if plain else lecun(size, size, bias=False, key=keys[1])  # a bias would cancel in the softmax
        self.value, self.leave = (lecun(size, size, key=k) for k in keys[2:])
        self.heads, self.scores = heads, scores

    def __call__(
        self, x: Float[Array, "Nq Q"], tokens: Float[Array, "Nk D"], allow: Bool[Array, "Nq Nk"] | None = None
    ) -> tuple[Float[Array, "Nq D"], Float[Array, "H Nq Nk"]]:
        """-> read-outs, weights."""
        v = self._split(dense(self.value, tokens))
        if self.query is None or self.key is None:
            q, k = (jnp.zeros((len(z), self.heads, 1), v.dtype) for z in (x, tokens))
        else:
            query, key = _still((self.query, self.key)) if self.scores == "frozen_qk" else (self.query, self.key)
            q, k = self._split(dense(query, x)), self._split(dense(key, tokens))
        y, weights = attend(q, k, v, None, allow)
        return dense(self.leave, y.reshape(len(x), -1)), weights

    def _split(self, x):
        return x.reshape(len(x), self.heads, -1)


class Block(eqx.Module):
    """x += MHA(LN x); x += MLP(LN x): a pre-norm block (Xiong et al., 2020). With `cross` its keys and values are
    other tokens, normalized too; without `residual` nothing is added, x is replaced.
    """

    attention: MultiHead
    norm: Norm
    source_norm: Norm | None
    mlp_norm: Norm
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    residual: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        ratio: int = 2,
        cross: bool = False,
        scores: str = "learned",
        residual: bool = True,
        key: Key[Array, ""],
    ):
        k_attention, k_up, k_down = jax.random.split(key, 3)
        self.attention = MultiHead(size, heads, scores=scores, key=k_attention)
        self.norm, self.mlp_norm, self.source_norm = Norm(size), Norm(size), Norm(size) if cross else None
        self.up, self.down = lecun(size, ratio * size, key=k_up), lecun(ratio * size, size, key=k_down)
        self.residual = residual

    def __call__(
        self,
        x: Float[Array, "Nq D"],
        allow: Bool[Array, "Nq Nk"] | None = None,
        source: Float[Array, "Nk D"] | None = None,
    ) -> tuple[Float[Array, "Nq D"], Float[Array, "H Nq Nk"]]:
        """-> the tokens after it, weights."""
        normed = self.norm(x)
        read = normed if source is None or self.source_norm is None else self.source_norm(source)
        y, weights = self.attention(normed, read, allow)
        x = x + y if self.residual else y
        y = dense(self.down, jax.nn.gelu(dense(self.up, self.mlp_norm(x))))
        return x + y if self.residual else y, weights


class Pool(eqx.Module):
    """One learned query per head reads all tokens, LN first; the heads' read-outs are concatenated."""

    query: Float[Array, "H d"] | None
    norm: Norm
    key: eqx.nn.Linear | None
    value: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    scores: str = eqx.field(static=True)

    def __init__(self, size: int, heads: int, *, scores: str = "learned", key: Key[Array, ""]):
        k_query, k_key, k_value = jax.random.split(key, 3)
        plain = scores == "uniform"
        self.query = None if plain else jax.random.normal(k_query, (heads, size // heads))
        self.key = None if plain else lecun(size, size, bias=False, key=k_key)
        self.value, self.norm = lecun(size, size, key=k_value), Norm(size)
        self.heads, self.scores = heads, scores

    def __call__(
        self, tokens: Float[Array, "N D"], allow: Bool[Array, "N"] | None = None
    ) -> tuple[Float[Array, "D"], Float[Array, "H 1 N"]]:
        """-> the read-out, weights."""
        normed = self.norm(tokens)
        v = dense(self.value, normed).reshape(len(tokens), self.heads, -1)
        if self.query is None or self.key is None:
            q, k = jnp.zeros((self.heads, 1), v.dtype), jnp.zeros((*v.shape[:2], 1), v.dtype)
        else:
            q, key = _still((self.query, self.key)) if self.scores == "frozen_qk" else (self.query, self.key)
            k = dense(key, normed).reshape(v.shape)
        y, weights = attend(q[None], k, v, None, None if allow is None else allow[None])
        return y.reshape(-1), weights
