"""The linear recurrent unit: a diagonal complex recurrence. T time, D width; `2` is real and imaginary part."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import dense, lecun, widen
from romanesco.core.scan import complex_scan, times
from romanesco.memory.stack import Stacked


class Poles(eqx.Module):
    """Complex decays lam = exp(-exp(nu) + i exp(theta)), so that |lam| < 1 whatever is learned."""

    nu: Float[Array, "D"]
    theta: Float[Array, "D"]

    def __init__(self, size: int, *, least: float, most: float, phase: float, key: Key[Array, ""]):
        """At birth uniform over the sector of the plane with least <= |lam| <= most and angles in (0, phase]."""
        radius, angle = 1 - jax.random.uniform(key, (2, size))  # of (0, 1]: a logarithm of 0 could not be learned
        self.nu = jnp.log(-0.5 * jnp.log(least**2 + radius * (most**2 - least**2)))
        self.theta = jnp.log(phase * angle)

    def __call__(self) -> tuple[Float[Array, "2 D"], Float[Array, "D"]]:
        """-> lam, and sqrt(1 - |lam|^2), with which inputs of variance 1 give states of variance 1."""
        rate, angle = jnp.exp(widen(self.nu)), jnp.exp(widen(self.theta))
        return jnp.exp(-rate) * jnp.stack([jnp.cos(angle), jnp.sin(angle)]), jnp.sqrt(-jnp.expm1(-2 * rate))


class LRU(eqx.Module):
    """Linear recurrent unit (Orvieto et al., 2023, arXiv 2303.06349).

    h' = lam h + sqrt(1 - |lam|^2) B x, lam = exp(-exp(nu) + i exp(theta)); y = Re(C h') + D x. The state is as wide as
    the input; h, B, C and lam are complex, kept as real arrays. At birth |lam| lies in [.9, .999] and its angle in
    (0, pi/10]. The normalization is computed from lam, not learned.
    """

    poles: Poles
    enter: eqx.nn.Linear  # [Re B; Im B]
    leave: eqx.nn.Linear  # [Re C, -Im C]
    skip: Float[Array, "D"]

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, *, key: Key[Array, ""]):
        k_poles, k_enter, k_leave, k_skip = jax.random.split(key, 4)
        self.poles = Poles(size, least=0.9, most=0.999, phase=np.pi / 10, key=k_poles)
        self.enter = lecun(size, 2 * size, bias=False, key=k_enter)
        self.leave = lecun(2 * size, size, bias=False, key=k_leave)
        self.skip = jax.random.normal(k_skip, (size,))

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["LRU", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return LRU(6, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.skip.shape[0]

    def init_carry(self) -> Float[Array, "2 D"]:
        return jnp.zeros((2, self.size_out), widen(self.skip).dtype)

    def _enter(self, x):  # [*n D] -> lam [2 D], what is added to the state [*n 2 D]
        decay, scale = self.poles()
        return decay, scale * widen(dense(self.enter, x)).reshape(*x.shape[:-1], 2, -1)

    def _leave(self, h, x):
        return dense(self.leave, h.reshape(*x.shape[:-1], -1)) + self.skip * x

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        decay, update = self._enter(x)
        h = times(decay, jnp.where(first, 0.0, carry)) + update
        return h, self._leave(h, x)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        decay, updates = self._enter(xs)
        hs = complex_scan(decay, updates, carry, first)
        return hs[-1], self._leave(hs, xs)
