"""The long short-term memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from romanesco.core.layers import project, widen
from romanesco.memory.recurrent import Recurrent, check_units, gated


class LSTM(Recurrent):
    """Long short-term memory with forget gates (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

    i, f, o = sig(W x + U h + b); g = tanh(Wg x + Ug h + bg); c' = f c + i g; h' = o tanh(c'). The bias of f is 1 at
    birth (Jozefowicz et al., 2015).
    """

    enter: eqx.nn.Linear  # x -> parts of i, f, g, o, with their bias
    recur: Float[Array, "ifgo U"]  # h -> parts of i, f, g, o

    def __init__(self, size: int, *, units: int | None = None, key: Key[Array, ""]):
        units = check_units(size if units is None else units)
        k_enter, k_recur = jax.random.split(key)
        bias = jnp.zeros(4 * units).at[units : 2 * units].set(1.0)
        self.enter = eqx.tree_at(lambda m: m.bias, gated(size, units, 4, key=k_enter), bias)
        self.recur = gated(units, units, 4, key=k_recur).weight

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["LSTM", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return LSTM(6, units=5, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.recur.shape[1]

    def init_carry(self) -> tuple[Float[Array, "U"], Float[Array, "U"]]:
        """The cell's state c and its output h."""
        dtype = widen(self.recur).dtype
        return jnp.zeros(self.size_out, dtype), jnp.zeros(self.size_out, dtype)

    def update(self, carry, e):
        c, h = carry
        i, f, g, o = jnp.split(e + widen(project(h.astype(self.recur.dtype), self.recur)), 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h
