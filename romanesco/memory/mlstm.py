"""mLSTM: a matrix memory with exponential input gates. H heads, d head width, Q steps of a chunk."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.chunks import elapsed, seen
from romanesco.memory.heads import Weighed


class Memo(NamedTuple):
    """What a layer keeps, all of it divided by exp(`scale`): sums of gated value (x) key, and of gated keys."""

    pairs: Float[Array, "H d d"]
    keys: Float[Array, "H d"]
    scale: Float[Array, "H"]


class Inputs(NamedTuple):
    """What a step reads."""

    query: Float[Array, "*n H d"]
    key: Float[Array, "*n H d"]
    value: Float[Array, "*n H d"]
    write: Float[Array, "*n H"]  # log of the input gate
    keep: Float[Array, "*n H"]  # log of the forget gate


class MLSTM(Weighed):
    """Matrix LSTM (Beck et al., 2024, arXiv 2405.04517), without its convolution and normalization.

    m' = max(lf + m, i); C' = e^(lf + m - m') C + e^(i - m') v k^T, n alike with k; the read-out is
    sig(o) C q / max(|n . q|, e^-m), where lf = log sig(f) and k is divided by sqrt d. At `first` the old term is
    selected away and m' = i. No output depends on m, which keeps e^i within range. At birth the bias of f is 3..6
    over the heads.
    """

    gate: eqx.nn.Linear  # -> i, f, each per head

    def __init__(self, size: int, *, heads: int = 4, head_size: int = 64, key: Key[Array, ""]):
        key, k_gate = jax.random.split(key)
        super().__init__(size, 4, heads=heads, head_size=head_size, key=key)
        bias = jnp.concatenate([jnp.zeros(heads), jnp.linspace(3.0, 6.0, heads)])
        self.gate = eqx.tree_at(lambda m: m.bias, lecun(size, 2 * heads, key=k_gate), bias)

    def init_carry(self) -> Memo:
        shape, dtype = (self.heads, self.head_size), widen(self.enter.weight).dtype
        return Memo(jnp.zeros((*shape, self.head_size), dtype), jnp.zeros(shape, dtype), jnp.zeros(self.heads, dtype))

    def matrices(self, carry: Memo) -> Float[Array, "H d d"]:
        """The matrices of values and keys, up to their scales."""
        return carry.pairs

    def _silent(self, carry):
        return carry._replace(pairs=jnp.zeros_like(carry.pairs[:, :1]))

    def _enter(self, x):
        q, k, v, o = self._vectors(x)
        i, f = jnp.split(widen(dense(self.gate, x)), 2, -1)
        return Inputs(q, k / np.sqrt(self.head_size), v, i, jax.nn.log_sigmoid(f)), jax.nn.sigmoid(o)

    def _leave(self, a, rest):
        return dense(self.leave, (rest * a).reshape(*a.shape[:-2], -1))

    def _advance(self, state: Memo, x: Inputs, first: Bool[Array, ""]) -> tuple[Memo, Float[Array, "H d"]]:
        pairs, keys, scale = (jnp.where(first, 0.0, part) for part in state)
        scale, before = jnp.where(first, x.write, jnp.maximum(x.keep + scale, x.write)), scale
        keep = jnp.exp(jnp.where(first, -jnp.inf, x.keep + before - scale))[:, None]
        write = jnp.exp(x.write - scale)[:, None]
        keys = keep * keys + write * x.key
        pairs = keep[..., None] * pairs + (write * x.value)[..., None] * x.key[:, None]
        read = jnp.einsum("hij,hj->hi", pairs, x.query)
        return Memo(pairs, keys, scale), _divided(read, (keys * x.query).sum(-1), scale)

    def _chunk(self, state: Memo, x: Inputs, first: Bool[Array, "Q"]) -> tuple[Memo, Float[Array, "Q H d"]]:
        """Q times `_advance`: each step weighs what the others wrote, and what came before the chunk."""
        near, old = seen(first)
        pairs, keys, scale = (jnp.where(first[0], 0.0, part) for part in state)
        now = elapsed(x.keep, first)
        own = jnp.where(near[..., None], now[:, None] - now + x.write, -jnp.inf)  # logs of weights
        carried = jnp.where(old[:, None], now + scale, -jnp.inf)
        scales = jnp.maximum(own.max(1), carried)
        own, carried = jnp.exp(own - scales[:, None]), jnp.exp(carried - scales)[..., None]

        score = jnp.einsum("thd,jhd->tjh", x.query, x.key) * own
        there = jnp.where(old[:, None, None], carried * jnp.einsum("hid,thd->thi", pairs, x.query), 0.0)
        a = jnp.einsum("tjh,jhd->thd", score, x.value) + there
        there = jnp.where(old[:, None], carried[..., 0] * jnp.einsum("hd,thd->th", keys, x.query), 0.0)
        weight = score.sum(1) + there

        written = own[-1][..., None] * x.key
        pairs = jnp.where(old[-1], carried[-1][..., None] * pairs, 0.0) + jnp.einsum("jhi,jhd->hid", x.value, written)
        keys = jnp.where(old[-1], carried[-1] * keys, 0.0) + written.sum(0)
        return Memo(pairs, keys, scales[-1]), _divided(a, weight, scales)


def _divided(a, weight, scale):
    return a / jnp.maximum(jnp.abs(weight), jnp.exp(-scale))[..., None]
