"""The bases in time of AGaLiTe, and how few slots can store them; needs no JAX. C channels, P period, K slots."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from romanesco.core.errors import BadInput, among

BASES = ("quadrature", "reference")


def coefficients(basis: str, channels: int) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "C"], float]:
    """-> c_i(n) over one period, the weights w_i of the read-out, and the factor rho of its divisor.

    `quadrature`: 1 and sqrt2 cos, sqrt2 sin of 2 pi j n / C, whose period is C (an even C adds the alternating
    (-1)^n), so that sum_i c_i(n) c_i(m) = C if n = m mod C, else 0. `reference`: cos(omega n) for omega in
    linspace(-pi, pi, C), as published (Pramanik et al., 2024, arXiv 2310.15719); cos is even, so that only the
    distinct |omega| are listed and the weight says how often each was asked for.
    """
    if basis == "quadrature":
        n, j = np.arange(channels)[:, None], np.arange(1, (channels + 1) // 2)
        angle = 2 * np.pi * j * n / channels
        columns = [np.ones_like(n), math.sqrt(2) * np.cos(angle), math.sqrt(2) * np.sin(angle)]
        table = np.hstack([*columns, (-1.0) ** n] if channels % 2 == 0 else columns)
        return table, np.ones(channels), float(channels)
    distinct = (channels + 1) // 2
    period = 2 if channels <= 2 else math.lcm(2, channels - 1)
    omega = np.pi * (1 - 2 * np.arange(distinct) / max(channels - 1, 1))
    weights = np.full(distinct, 2.0)
    if channels % 2:
        weights[-1] = 1.0
    return np.cos(omega * np.arange(period)[:, None]), weights, 2.0 * channels


def channel_rank(basis: str, channels: int) -> int:
    """How many linearly independent functions of time the channels are."""
    return int(np.linalg.matrix_rank(coefficients(basis, channels)[0], tol=1e-6))


@dataclass(frozen=True, eq=False)
class Layout:
    """What a cell stores for a basis: step n is written with `writes[n]` [K], and slots of values v_i that a query
    scores with s_i read out as sum_ij v_i gram_ij s_j / (divisor . s + epsilon)."""

    writes: Float[np.ndarray, "P K"]
    gram: Float[np.ndarray, "K K"] | None  # None: the identity
    divisor: Float[np.ndarray, "K"]
    epsilon: float  # divided by rho
    start: int | None  # phase of an episode's first step; None: one slot is written a step, and no phase restarts

    @property
    def slots(self) -> int:
        return self.writes.shape[1]


def layout(basis: str, channels: int, epsilon: float) -> Layout:
    """The slots that read out like the channels of `basis`, exactly.

    Where G = sum_i w_i c_i(n) c_i(m) depends on n - m mod P alone, step n is written to slot n mod P only and G joins
    at the read-out: no sum of keys is stored, and a reset need not restart the phase. Elsewhere (`reference`, four
    channels and more) the slots are the distinct channels and a constant one, which holds the sum of keys; the phase
    starts at 2, as published.
    """
    table, weights, rho = coefficients(basis, channels)
    gram = (table * weights) @ table.T / rho
    if np.allclose(gram, np.roll(gram, (1, 1), (0, 1))):
        period = len(table)
        own = np.allclose(gram, np.eye(period))
        return Layout(np.eye(period), None if own else gram, np.ones(period), epsilon / rho, None)
    constant = np.all(np.isclose(table, 1), axis=0)
    if not constant.any():
        table, weights, constant = np.c_[table, np.ones(len(table))], np.r_[weights, 0], np.r_[constant, True]
    return Layout(table, np.diag(weights / rho), constant.astype(float), epsilon / rho, 2)


def check_basis(basis: str, channels: int) -> str | None:
    """Raises BadInput for a basis that does not exist. -> what to warn of, where channels repeat one another."""
    if basis not in BASES:
        raise BadInput(f"basis `{basis}`{among(basis, BASES)}")
    if channels < 1:
        raise BadInput(f"channels={channels}: at least 1 is needed")
    rank = channel_rank(basis, channels)
    if rank == channels:
        return None
    pairs = [f"{i + 1} and {channels - i}" for i in range(channels // 2)]
    return f"basis={basis} channels={channels}: channels {', '.join(pairs)} are identical; rank {rank}"
