"""The bistable recurrent cell: a state that a unit can hold for as long as no input moves it. U units."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from romanesco.core.layers import lecun, project, widen
from romanesco.memory.recurrent import Recurrent, check_units, gated


class BRC(Recurrent):
    """Bistable recurrent cell (Vecoven et al., 2021, arXiv 2006.05252).

    a = 1 + tanh(Ua x + wa h + ba); c = sig(Uc x + wc h + bc); h' = c h + (1 - c) tanh(U x + a h). While a > 1 a
    unit has two stable states, between which only its inputs move it; while a <= 1 it has one, and fades. Each unit
    sees itself alone, wa and wc being numbers, at birth 1; with `neuromodulated=True` (the paper's nBRC) they are
    matrices, at birth orthogonal.
    """

    enter: eqx.nn.Linear  # x -> parts of a, c and of the new state
    recur: Float[Array, "R U"]  # h -> parts of a, c: two numbers a unit, or a matrix of twice as many rows
    bias: Float[Array, "R"]  # of a, c

    def __init__(self, size: int, *, units: int | None = None, neuromodulated: bool = False, key: Key[Array, ""]):
        units = check_units(size if units is None else units)
        k_enter, k_recur = jax.random.split(key)
        self.enter = lecun(size, 3 * units, bias=False, key=k_enter)
        self.recur = gated(units, units, 2, key=k_recur).weight if neuromodulated else jnp.ones((2, units))
        self.bias = jnp.zeros(2 * units)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["BRC", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return BRC(6, units=5, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.recur.shape[1]

    def init_carry(self) -> Float[Array, "U"]:
        return jnp.zeros(self.size_out, widen(self.bias).dtype)

    def update(self, carry, e):
        own = len(self.recur) == 2
        seen = self.recur * carry if own else widen(project(carry.astype(self.recur.dtype), self.recur))
        (xa, xc, xh), (ha, hc) = jnp.split(e, 3), jnp.split(seen.reshape(-1) + self.bias, 2)
        a, c = 1 + jnp.tanh(xa + ha), jax.nn.sigmoid(xc + hc)
        h = c * carry + (1 - c) * jnp.tanh(xh + a * carry)
        return h, h
