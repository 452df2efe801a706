"""The gated recurrent unit."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, orthogonal, widen
from romanesco.memory.stack import Stacked


def gated(size: int, units: int, gates: int, *, key: Key[Array, ""]) -> eqx.nn.Linear:
    """One layer that computes `gates` orthogonal maps of gain 1 side by side, [size] -> [gates * units]; bias 0."""
    layer = eqx.nn.Linear(size, gates * units, key=key)
    weight = jnp.concatenate([orthogonal(size, units, gain=1.0, key=k).weight for k in jax.random.split(key, gates)])
    return eqx.tree_at(lambda m: (m.weight, m.bias), layer, (weight, jnp.zeros(gates * units)))


def check_units(units: int) -> int:
    if units < 1:
        raise BadInput(f"units={units}: at least 1 is needed")
    return units


class GRU(eqx.Module):
    """Gated recurrent unit (Cho et al., 2014), its reset gate applied after the recurrent matmul, as cuDNN does.

    r, z = sig(W x + U h); n = tanh(Wn x + bn + r (Un h + cn)); h' = (1 - z) n + z h.
    """

    enter: eqx.nn.Linear  # x -> parts of r, z, n
    recur: eqx.nn.Linear  # h -> parts of r, z, n

    stacked: ClassVar[Stacked | None] = None

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

    def init_carry(self) -> Float[Array, "D"]:
        return jnp.zeros(self.size_out, widen(self.recur.weight).dtype)

    def _advance(self, h, x, first):
        h = jnp.where(first, 0.0, h)
        xr, xz, xn = jnp.split(x, 3)
        hr, hz, hn = jnp.split(widen(dense(self.recur, h.astype(self.recur.weight.dtype))), 3)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + r * hn)
        h = n + z * (h - n)
        return h, h

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        return self._advance(carry, widen(dense(self.enter, x)), first)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        inputs = widen(dense(self.enter, xs)), first
        return jax.lax.scan(lambda h, x: self._advance(h, *x), carry, inputs)
