"""Stable Hadamard memory: a matrix whose entries are calibrated one by one. M rows and columns, R rows of theta."""

import functools
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, widen
from romanesco.core.scan import linear_scan
from romanesco.memory.chunks import phases, scan_chunks
from romanesco.memory.stack import Stacked

CHUNK = 16  # steps whose states exist at once
ORDERS = 16  # in which the rows of theta are drawn before the draws repeat
EPSILON = 1e-5  # added to the sums that keys and queries are divided by


class Inputs(NamedTuple):
    """What a step reads; keys and queries sum to 1."""

    query: Float[Array, "*n M"]
    key: Float[Array, "*n M"]
    value: Float[Array, "*n M"]  # times eta
    calibration: Float[Array, "*n M"]  # of columns
    theta: Float[Array, "*n M"]  # of rows, as drawn


class SHM(eqx.Module):
    """Stable Hadamard memory (Le et al., 2025, arXiv 2410.10132).

    S' = C * S + eta v k^T entry by entry, C = 1 + tanh(theta_r (Wc x)^T), y = Wo S' q + b; k, q = relu of linear maps
    over their sums, eta = sig(We x). The row r of theta is drawn anew each step, so that what C does to an entry
    averages out in time: every row once in a random order, then in another. The draws are the same in all episodes
    and begin with them, or learning would not see what acting saw. (The authors' code draws row 0 always.) Rows are
    born with mean 0, so that C enlarges S under no constant input; once learned it may, and where Wc x is 0 nothing
    fades.
    """

    enter: eqx.nn.Linear  # x -> parts of k, q, v, Wc x, eta
    theta: Float[Array, "R M"]
    leave: eqx.nn.Linear

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, *, units: int = 64, thetas: int = 128, key: Key[Array, ""]):
        check_positive(units=units, thetas=thetas)
        k_enter, k_theta, k_leave = jax.random.split(key, 3)
        self.enter = lecun(size, 4 * units + 1, bias=False, key=k_enter)
        theta = jax.nn.initializers.glorot_uniform()(k_theta, (thetas, units))
        self.theta = theta - theta.mean(0)
        self.leave = lecun(units, size, key=k_leave)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["SHM", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return SHM(6, units=4, thetas=3, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> tuple[Float[Array, "M M"], Int[Array, ""]]:
        """S, and which draw is next."""
        units = self.theta.shape[1]
        return jnp.zeros((units, units), widen(self.theta).dtype), jnp.int32(0)

    def matrices(self, carry) -> Float[Array, "1 M M"]:
        """The matrix of values and keys."""
        return carry[0][None]

    def _enter(self, x: Float[Array, "*n D"], phase: Int[Array, "*n"]) -> Inputs:
        k, q, v, c, eta = jnp.split(widen(dense(self.enter, x)), np.arange(1, 5) * self.theta.shape[1], -1)
        drawn = jnp.asarray(draws(len(self.theta)))[phase]
        return Inputs(_shares(q), _shares(k), jax.nn.sigmoid(eta) * v, c, widen(self.theta)[drawn])

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        state, phase = carry
        phase = jnp.where(first, 0, phase)
        inputs = self._enter(x, phase)
        keep, update = _change(inputs)
        state = keep * jnp.where(first, 0.0, state) + update
        return (state, (phase + 1) % len(draws(len(self.theta)))), dense(self.leave, state @ inputs.query)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        state, phase = carry
        period = len(draws(len(self.theta)))
        phase = phases(phase, first, 0, period)
        state, a = scan_chunks(_chunk, state, self._enter(xs, phase), first, chunk=CHUNK)
        return (state, (phase[-1] + 1) % period), dense(self.leave, a)


@functools.cache
def draws(rows: int) -> Int[np.ndarray, "P"]:
    """Which row of theta the steps of an episode use, over one period."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(rows) for _ in range(ORDERS)]).astype(np.int32)


def _shares(x):
    positive = jax.nn.relu(x)
    return positive / (EPSILON + positive.sum(-1, keepdims=True))


def _change(x: Inputs) -> tuple[Float[Array, "*n M M"], Float[Array, "*n M M"]]:
    """-> C, and what is added."""
    calibration = 1 + jnp.tanh(x.theta[..., None] * x.calibration[..., None, :])
    return calibration, x.value[..., None] * x.key[..., None, :]


def _chunk(state: Float[Array, "M M"], x: Inputs, first: Bool[Array, "Q"]):
    keep, update = _change(x)
    states = linear_scan(jnp.where(first[:, None, None], 0.0, keep), update, state)
    return states[-1], jnp.einsum("tij,tj->ti", states, x.query)
