"""The attention of the gated transformer-XL, over a strict window. W window, H heads, d head width, D size."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.ring import Ring, attend_all, attend_one, check_window, empty, maps
from romanesco.memory.stack import Norm, Stacked


def sinusoids(window: int, size: int) -> Float[np.ndarray, "W D"]:
    """By age the sines, then the cosines, of age times 10000^(-2i/D), i < D/2 (Vaswani et al., 2017)."""
    angle = np.arange(window)[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)[:, :size]


class GTrXL(eqx.Module):
    """One layer's cell of the gated transformer-XL (Parisotto et al., 2020, arXiv 1910.06764).

    Query t weighs step t - a by the softmax of ((q + u) . k + (q + v) . Wr sinusoid(a)) / sqrt d over ages a < W of
    its episode (Dai et al., 2019), exactly so in acting and in learning: a published `memory_len` of M is `window` M+1.
    Through L layers information still travels L (W-1) steps. Keys and values stay as written when the weights change,
    until they leave; so the gradient reaches only those written in the sequence at hand. The cell normalizes its input
    itself: keys and values are read from LN(e), and so are queries, unless `query_norm` is False, as published code
    has it.
    """

    norm: Norm
    query: eqx.nn.Linear
    enter: eqx.nn.Linear  # -> per head all k, then all v [d]
    position: eqx.nn.Linear  # no bias: the softmax would cancel it
    leave: eqx.nn.Linear
    content_bias: Float[Array, "H d"]  # u
    position_bias: Float[Array, "H d"]  # v
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    query_norm: bool = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked(
        "gru", act="relu", ffn_times=1, ffn_act="relu", last_norm=False, own_norm=True
    )

    def __init__(
        self,
        size: int,
        *,
        heads: int = 4,
        head_size: int = 64,
        window: int = 128,
        query_norm: bool = True,
        key: Key[Array, ""],
    ):
        check_window(window)
        for name, value in {"heads": heads, "head_size": head_size}.items():
            if value < 1:
                raise BadInput(f"{name}={value}: at least 1 is needed")
        wide = heads * head_size
        k_query, k_enter, k_position, k_leave = jax.random.split(key, 4)
        self.norm = Norm(size)
        self.query, self.enter = lecun(size, wide, key=k_query), lecun(size, 2 * wide, key=k_enter)
        self.position, self.leave = lecun(size, wide, bias=False, key=k_position), lecun(wide, size, key=k_leave)
        self.content_bias, self.position_bias = jnp.zeros((heads, head_size)), jnp.zeros((heads, head_size))
        self.heads, self.head_size, self.window, self.query_norm = heads, head_size, window, query_norm

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["GTrXL", Float[Array, "T D"]]:
        k_cell, k_u, k_v, k_x = jax.random.split(key, 4)
        cell = GTrXL(6, heads=2, head_size=4, window=9, key=k_cell)
        biases = jax.random.normal(k_u, (2, 4)), jax.random.normal(k_v, (2, 4))
        cell = eqx.tree_at(lambda m: (m.content_bias, m.position_bias), cell, biases)
        return cell, 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> Ring:
        return empty(self.heads, self.window, self.head_size, widen(self.content_bias).dtype)

    def _enter(self, e):  # [*n D] -> queries of content and of position, k, v [H *n d]
        def split(layer, x, parts):
            y = widen(dense(layer, x)).reshape(*x.shape[:-1], parts, self.heads, self.head_size)
            return jnp.moveaxis(y, (-3, -2), (0, 1))

        x = self.norm(e)
        (q,), (k, v) = split(self.query, x if self.query_norm else e, 1), split(self.enter, x, 2)
        over = (slice(None), *[None] * (e.ndim - 1))  # heads, then any time axis
        content, position = (
            (q + bias[over]) / np.sqrt(self.head_size) for bias in (self.content_bias, self.position_bias)
        )
        return content, position, k, v

    def _leave(self, a):  # [*n H d]
        return dense(self.leave, a.reshape(*a.shape[:-2], -1))

    def _ages(self):  # sinusoids [W D], and the map of each head [H d D]
        weight = widen(self.position.weight)
        waves = jnp.asarray(sinusoids(self.window, weight.shape[1]), weight.dtype)
        return waves, weight.reshape(self.heads, self.head_size, -1)

    def step(self, carry: Ring, x: Float[Array, "D"], first: Bool[Array, ""]):
        content, position, k, v = self._enter(x)
        waves, weight = self._ages()
        # (q + v) . (Wr s) as (Wr^T (q + v)) . s: the query alone is projected, not all ages
        bias = jnp.einsum("hd,hdD->hD", position, weight) @ waves.T
        carry, a = attend_one(carry, content, k, v, bias, first)
        return carry, self._leave(a)

    def _attend(self, carry, xs, first):
        content, position, k, v = self._enter(xs)
        waves, weight = self._ages()
        bias = jnp.einsum("htd,hdw->htw", position, jnp.einsum("hdD,wD->hdw", weight, waves))
        carry, a, weights = attend_all(carry, content, k, v, bias, first)
        return carry, self._leave(a), weights, v, a

    def sequence(self, carry: Ring, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        return self._attend(carry, xs, first)[:2]

    def explain(self, carry: Ring, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and the weights: `attention` [H T T] by query and key, `before` [H T] the sum over
        steps before the sequence; rows of both together sum to 1. Also `values` and `read` [H T d]."""
        carry, ys, *told = self._attend(carry, xs, first)
        return carry, ys, maps(*told)
