"""The minimal gated recurrent unit: gates that do not see the state. T time, D width."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import dense, lecun, widen
from romanesco.core.scan import linear_scan
from romanesco.memory.stack import Stacked

LONGEST = 128  # steps: the slowest channels' time constant at birth


class MinGRU(eqx.Module):
    """Minimal gated recurrent unit (Feng et al., 2024, arXiv 2410.01201).

    z = sig(Wz x + bz); c = g(Wc x + bc), g(u) = u + 1/2 where u >= 0, else sig(u); h' = (1 - z) h + z c. The output
    is h'. At birth the time constants 1 / sig(bz) of the channels are spread evenly in logarithm over 1..128 steps
    (after the chrono initialization; Tallec & Ollivier, 2018, arXiv 1804.11188).
    """

    enter: eqx.nn.Linear  # x -> parts of z, c

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, *, key: Key[Array, ""]):
        layer = lecun(size, 2 * size, key=key)
        constants = LONGEST ** ((jnp.arange(size) + 0.5) / size)
        self.enter = eqx.tree_at(lambda m: m.bias, layer, layer.bias.at[:size].set(-jnp.log(constants - 1)))

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["MinGRU", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return MinGRU(6, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.enter.weight.shape[1]

    def init_carry(self) -> Float[Array, "D"]:
        return jnp.zeros(self.size_out, widen(self.enter.weight).dtype)

    def _enter(self, x):  # [*n D] -> 1 - z, z c
        z, c = jnp.split(widen(dense(self.enter, x)), 2, -1)
        return jax.nn.sigmoid(-z), jax.nn.sigmoid(z) * jnp.where(c >= 0, c + 0.5, jax.nn.sigmoid(c))

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        keep, update = self._enter(x)
        h = keep * jnp.where(first, 0.0, carry) + update
        return h, h

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        keep, update = self._enter(xs)
        hs = linear_scan(jnp.where(first[:, None], 0.0, keep), update, carry)
        return hs[-1], hs
