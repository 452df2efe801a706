"""mLSTM: a matrix memory with exponential input gates. H heads, d head width, Q steps of a chunk."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.chunks import elapsed, scan_chunks, seen
from romanesco.memory.stack import Stacked
from romanesco.memory.unrolled import unrolled

CHUNK = 16  # steps that are read at once


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


class MLSTM(eqx.Module):
    """Matrix LSTM (Beck et al., 2024, arXiv 2405.04517), without its convolution and normalization.

    m' = max(lf + m, i); C' = e^(lf + m - m') C + e^(i - m') v k^T, n alike with k; the read-out is
    sig(o) C q / max(|n . q|, e^-m), where lf = log sig(f) and k is divided by sqrt d. At `first` the old term is
    selected away and m' = i. No output depends on m, which keeps e^i within range. At birth the bias of f is 3..6
    over the heads.
    """

    enter: eqx.nn.Linear  # -> q, k, v, o, each per head [d]
    gate: eqx.nn.Linear  # -> i, f, each per head
    leave: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, *, heads: int = 4, head_size: int = 64, key: Key[Array, ""]):
        check_positive(heads=heads, head_size=head_size)
        k_enter, k_gate, k_leave = jax.random.split(key, 3)
        self.heads, self.head_size = heads, head_size
        self.enter = lecun(size, 4 * heads * head_size, key=k_enter)
        bias = jnp.concatenate([jnp.zeros(heads), jnp.linspace(3.0, 6.0, heads)])
        self.gate = eqx.tree_at(lambda m: m.bias, lecun(size, 2 * heads, key=k_gate), bias)
        self.leave = lecun(heads * head_size, size, key=k_leave)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["MLSTM", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return MLSTM(6, heads=2, head_size=4, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> Memo:
        shape, dtype = (self.heads, self.head_size), widen(self.enter.weight).dtype
        return Memo(jnp.zeros((*shape, self.head_size), dtype), jnp.zeros(shape, dtype), jnp.zeros(self.heads, dtype))

    def matrices(self, carry: Memo) -> Float[Array, "H d d"]:
        """The matrices of values and keys, up to their scales."""
        return carry.pairs

    def _enter(self, x: Float[Array, "*n D"]) -> tuple[Inputs, Float[Array, "*n H d"]]:
        parts = widen(dense(self.enter, x)).reshape(*x.shape[:-1], 4, self.heads, self.head_size)
        q, k, v, o = jnp.moveaxis(parts, -3, 0)
        i, f = jnp.split(widen(dense(self.gate, x)), 2, -1)
        return Inputs(q, k / np.sqrt(self.head_size), v, i, jax.nn.log_sigmoid(f)), jax.nn.sigmoid(o)

    def _leave(self, a, open):  # [*n H d]
        return dense(self.leave, (open * a).reshape(*a.shape[:-2], -1))

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        inputs, open = self._enter(x)
        state, a = _advance(carry, inputs, first)
        return state, self._leave(a, open)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        inputs, open = self._enter(xs)
        state, a = scan_chunks(_chunk, carry, inputs, first, chunk=CHUNK)
        return state, self._leave(a, open)

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and its weights unrolled: `signed` [H T T] by reading and writing step, and more."""
        inputs, open = self._enter(xs)

        def read(carry, values):
            return scan_chunks(_chunk, carry, inputs._replace(value=values), first, chunk=CHUNK)

        silent = carry._replace(pairs=jnp.zeros_like(carry.pairs[:, :1]))
        state, a, maps = unrolled(read, carry, silent, inputs.value, width=1)
        return state, self._leave(a, open), maps


def _advance(state: Memo, x: Inputs, first: Bool[Array, ""]) -> tuple[Memo, Float[Array, "H d"]]:
    pairs, keys, scale = (jnp.where(first, 0.0, part) for part in state)
    scale, before = jnp.where(first, x.write, jnp.maximum(x.keep + scale, x.write)), scale
    keep = jnp.exp(jnp.where(first, -jnp.inf, x.keep + before - scale))[:, None]
    write = jnp.exp(x.write - scale)[:, None]
    keys = keep * keys + write * x.key
    pairs = keep[..., None] * pairs + (write * x.value)[..., None] * x.key[:, None]
    return Memo(pairs, keys, scale), _divided(jnp.einsum("hij,hj->hi", pairs, x.query), (keys * x.query).sum(-1), scale)


def _chunk(state: Memo, x: Inputs, first: Bool[Array, "Q"]) -> tuple[Memo, Float[Array, "Q H d"]]:
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
