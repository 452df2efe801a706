"""Fast and Forgetful Memory. T time, D width of the output, M traces, C contexts; `2` as in `lru`."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun, widen
from romanesco.core.scan import complex_scan, times
from romanesco.memory.recurrent import check_units
from romanesco.memory.stack import Norm, Stacked

FASTEST, SLOWEST = 0.67, np.log(100) / 1024  # decay rates at birth; the slowest trace keeps 1 % after 1024 steps
PERIODS = 1.0, 1024.0  # steps a turn at birth


class FFM(eqx.Module):
    """Fast and Forgetful Memory (Morad et al., 2023, arXiv 2310.04128).

    u = (W1 x + b1) sig(W2 x + b2), S'_jk = exp(-alpha_j + i omega_k) S_jk + u_j, z = W3 [Re S', Im S'] + b3,
    o = sig(W4 x + b4); y = LN(z) o + (W5 x + b5) (1 - o). At birth the rates alpha and the periods 2 pi / omega are
    evenly spaced, as in the authors' code. Unlike there, alpha is learned through its logarithm, so that no trace
    ever stops fading; it has no upper bound, because nothing is divided by a power of a decay; and LN has a scale and
    a shift.
    """

    enter: eqx.nn.Linear  # x -> what W1 [M], W2 [M], W4 [D], W5 [D] make of it
    rate: Float[Array, "M"]  # log alpha
    omega: Float[Array, "C"]
    leave: eqx.nn.Linear
    norm: Norm

    stacked: ClassVar[Stacked | None] = None

    def __init__(
        self, size: int, *, units: int | None = None, traces: int = 32, contexts: int = 4, key: Key[Array, ""]
    ):
        units = check_units(size if units is None else units)
        for name, value in {"traces": traces, "contexts": contexts}.items():
            if value < 1:
                raise BadInput(f"{name}={value}: at least 1 is needed")
        k_enter, k_leave = jax.random.split(key)
        self.enter = lecun(size, 2 * (traces + units), key=k_enter)
        self.rate = jnp.log(jnp.linspace(FASTEST, SLOWEST, traces))
        self.omega = 2 * np.pi / jnp.linspace(*PERIODS, contexts)
        self.leave = lecun(2 * traces * contexts, units, key=k_leave)
        self.norm = Norm(units)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["FFM", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return FFM(6, units=5, traces=4, contexts=3, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> Float[Array, "2 M C"]:
        return jnp.zeros((2, len(self.rate), len(self.omega)), widen(self.rate).dtype)

    def _enter(self, x):  # [*n D] -> decay [2 M C], what is added to the state [*n 2 M C], the parts of the output
        M = len(self.rate)
        value, gate, out, through = jnp.split(widen(dense(self.enter, x)), [M, 2 * M, 2 * M + self.size_out], -1)
        angle = widen(self.omega)
        decay = jnp.exp(-jnp.exp(widen(self.rate)))[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)])[:, None]
        real = jnp.broadcast_to((value * jax.nn.sigmoid(gate))[..., None], (*value.shape, len(angle)))
        return decay, jnp.stack([real, jnp.zeros_like(real)], -3), (jax.nn.sigmoid(out), through)

    def _leave(self, state, out, through):
        z = self.norm(dense(self.leave, state.reshape(*out.shape[:-1], -1)))
        return z * out + through * (1 - out)

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        decay, update, parts = self._enter(x)
        state = times(decay, jnp.where(first, 0.0, carry)) + update
        return state, self._leave(state, *parts)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        decay, updates, parts = self._enter(xs)
        states = complex_scan(decay, updates, carry, first)
        return states[-1], self._leave(states, *parts)
