"""Attention over a strict window of the last steps, with a learned bias by age. W window, H heads, d head width."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.ring import Ring, attend_all, attend_one, check_window, empty, maps
from romanesco.memory.stack import Stacked


class Window(eqx.Module):
    """Multi-head attention over the last `window` steps of this episode, with a learned bias per head and age
    (Vaswani et al., 2017; bias after Raffel et al., 2020).

    Query t sees exactly steps t-W+1 .. t of its episode, acting and learning alike. Keys and values stay as written
    when the weights change, until they leave; so the gradient reaches only those written in the sequence at hand.
    """

    enter: eqx.nn.Linear  # -> per head q, k, v [d]
    leave: eqx.nn.Linear
    bias: Float[Array, "H W"]  # by age, 0 the present step
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(
        self, size: int, *, heads: int = 4, window: int = 128, head_size: int | None = None, key: Key[Array, ""]
    ):
        check_window(window)
        if head_size is not None and head_size < 1:
            raise BadInput(f"head_size={head_size}: at least 1 is needed; null: size / heads")
        if heads < 1 or (head_size is None and size % heads):
            divisors = ", ".join(str(n) for n in range(1, size + 1) if size % n == 0)
            raise BadInput(f"heads={heads} does not divide size={size}; divisors: {divisors}; or set head_size")
        k_enter, k_leave = jax.random.split(key)
        self.heads, self.head_size = heads, size // heads if head_size is None else head_size
        self.enter = lecun(size, 3 * heads * self.head_size, key=k_enter)
        self.leave = lecun(heads * self.head_size, size, key=k_leave)
        self.bias = jnp.zeros((heads, window))

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["Window", Float[Array, "T D"]]:
        k_cell, k_bias, k_x = jax.random.split(key, 3)
        cell = Window(6, heads=2, window=9, key=k_cell)
        cell = eqx.tree_at(lambda m: m.bias, cell, jax.random.normal(k_bias, cell.bias.shape))
        return cell, 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    @property
    def window(self) -> int:
        return self.bias.shape[1]

    def init_carry(self) -> Ring:
        return empty(self.heads, self.window, self.head_size, widen(self.bias).dtype)

    def _enter(self, x):  # [*n D] -> q, k, v [H *n d]
        parts = widen(dense(self.enter, x)).reshape(*x.shape[:-1], 3, self.heads, self.head_size)
        q, k, v = jnp.moveaxis(parts, (-3, -2), (0, 1))
        return q / np.sqrt(self.head_size), k, v

    def _leave(self, a):  # [*n H d]
        return dense(self.leave, a.reshape(*a.shape[:-2], -1))

    def step(self, carry: Ring, x: Float[Array, "D"], first: Bool[Array, ""]):
        carry, a = attend_one(carry, *self._enter(x), self.bias, first)
        return carry, self._leave(a)

    def _attend(self, carry, xs, first):
        q, k, v = self._enter(xs)
        carry, a, weights = attend_all(carry, q, k, v, self.bias[:, None], first)
        return carry, self._leave(a), weights, v, a

    def sequence(self, carry: Ring, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        return self._attend(carry, xs, first)[:2]

    def explain(self, carry: Ring, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and the weights: `attention` [H T T] by query and key, `before` [H T] the sum over
        steps before the sequence; rows of both together sum to 1. Also `values` and `read` [H T d]."""
        carry, ys, *told = self._attend(carry, xs, first)
        return carry, ys, maps(*told)
