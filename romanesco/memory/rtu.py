"""The recurrent trace unit: a diagonal complex recurrence read through relu. T time, U units; `2` as in `lru`."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import dense, lecun, widen
from romanesco.core.scan import complex_scan, times
from romanesco.memory.lru import Poles
from romanesco.memory.recurrent import check_units
from romanesco.memory.stack import Stacked


class RTU(eqx.Module):
    """Linear recurrent trace unit (Elelimy et al., 2024, arXiv 2409.01449), its gradient taken through time.

    With r = exp(-exp(nu)), theta = exp(log theta), g = sqrt(1 - r^2):
    a' = r cos(theta) a - r sin(theta) b + g Wa x;  b' = r cos(theta) b + r sin(theta) a + g Wb x;
    y = [relu(a'), relu(b')], of width 2 `units`. At birth r < .999 and theta <= 2 pi, uniform over the disc.
    """

    poles: Poles
    enter: eqx.nn.Linear  # [Wa; Wb]

    stacked: ClassVar[Stacked | None] = None

    def __init__(self, size: int, *, units: int | None = None, key: Key[Array, ""]):
        units = check_units(size if units is None else units)
        k_poles, k_enter = jax.random.split(key)
        self.poles = Poles(units, least=0.0, most=0.999, phase=2 * np.pi, key=k_poles)
        self.enter = lecun(size, 2 * units, bias=False, key=k_enter)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["RTU", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return RTU(6, units=5, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.enter.weight.shape[0]

    def init_carry(self) -> Float[Array, "2 U"]:
        """a and b."""
        return jnp.zeros((2, self.size_out // 2), widen(self.enter.weight).dtype)

    def _enter(self, x):  # [*n D] -> the decay [2 U], what is added to the state [*n 2 U]
        decay, scale = self.poles()
        return decay, scale * widen(dense(self.enter, x)).reshape(*x.shape[:-1], 2, -1)

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        decay, update = self._enter(x)
        h = times(decay, jnp.where(first, 0.0, carry)) + update
        return h, jax.nn.relu(h).reshape(-1)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        decay, updates = self._enter(xs)
        hs = complex_scan(decay, updates, carry, first)
        return hs[-1], jax.nn.relu(hs).reshape(len(xs), -1)
