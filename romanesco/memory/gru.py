"""The gated recurrent unit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from romanesco.core.layers import dense, widen
from romanesco.memory.recurrent import Recurrent, check_units, gated


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014), its reset gate applied after the recurrent matmul, as cuDNN does.

    r, z = sig(W x + U h); n = tanh(Wn x + bn + r (Un h + cn)); h' = (1 - z) n + z h.
    """

    enter: eqx.nn.Linear  # x -> parts of r, z, n
    recur: eqx.nn.Linear  # h -> parts of r, z, n

    def __init__(self, size: int, *, units: int | None = None, key: Key[Array, ""]):
        units = check_units(size if units is None else units)
        k_enter, k_recur = jax.random.split(key)
        self.enter, self.recur = gated(size, units, 3, key=k_enter), gated(units, units, 3, key=k_recur)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["GRU", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return GRU(6, units=5, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.recur.weight.shape[1]

    def init_carry(self) -> Float[Array, "U"]:
        return jnp.zeros(self.size_out, widen(self.recur.weight).dtype)

    def update(self, carry, e):
        seen = widen(dense(self.recur, carry.astype(self.recur.weight.dtype)))
        (xr, xz, xn), (hr, hz, hn) = jnp.split(e, 3), jnp.split(seen, 3)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + r * hn)
        h = n + z * (carry - n)
        return h, h
