"""Whether two sets of scores differ: exact and random permutations, Welch, Holm. S seeds, K tasks, R splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from romanesco.study.stats import REPLICATES, Bounds, Floats, iqm, mean

ENUMERATED = 20_000  # at most so many splits are all looked at
Indices = np.ndarray  # of integers
ROUNDING = 1e-9  # of the scores' range: two sums of the same numbers in another order


@dataclass(frozen=True)
class Permuted:
    """A permutation test: statistic(x) - statistic(y), its p, how many splits were looked at, whether those are all."""

    difference: float
    p: float
    splits: int
    exact: bool


def splits_of(n: int, total: int, tasks: int = 1, *, seed: int = 0) -> tuple[Indices, bool]:
    """Ways to choose n of `total` runs within each task -> chosen [R n K], in order, and whether these are all.

    All, up to 20,000 of them; else 10,000 random ones, from a generator of `seed`.
    """
    ways = comb(total, n)
    if ways**tasks <= ENUMERATED:
        each = np.array(list(combinations(range(total), n)), int).reshape(ways, n)
        which = np.indices((ways,) * tasks).reshape(tasks, -1)  # [K R]
        return np.stack([each[one] for one in which], -1), True
    draw = np.random.default_rng(seed).random((REPLICATES, total, tasks)).argsort(1)
    return np.sort(draw[:, :n], 1), False


def remaining(chosen: Indices, total: int) -> Indices:
    """The others: [R n K] -> [R total-n K], in order."""
    free = np.ones((len(chosen), total, chosen.shape[2]), bool)
    np.put_along_axis(free, chosen, False, 1)
    order = np.argsort(~free, axis=1, kind="stable")
    return order[:, : total - chosen.shape[1]]


def tail(differences: Floats, observed: float, exact: bool, scale: float) -> float:
    """Two-sided p: the share of splits [R] at least as extreme; of random ones (1 + #) / (1 + R)."""
    extreme = int(np.count_nonzero(np.abs(differences) >= abs(observed) - ROUNDING * scale))
    return extreme / len(differences) if exact else (1 + extreme) / (1 + len(differences))


def permutation_test(x: ArrayLike, y: ArrayLike, *, statistic: Callable = iqm, seed: int = 0) -> Permuted:
    """Two-sided permutation test of statistic(x) = statistic(y) (Fisher, 1935; Phipson and Smyth, 2010).

    x is [S] or [S K], y [S'] or [S' K]; labels are permuted within each task. All splits are looked at up to 20,000 of
    them, else 10,000 random ones, p = (1 + #) / 10,001. Neither the order of runs nor that of x and y changes p.
    """
    a, b = (z if z.ndim > 1 else z[:, None] for z in (np.asarray(x, float), np.asarray(y, float)))
    if not len(a) or not len(b) or a.shape[1] != b.shape[1]:
        raise ValueError(f"scores of shape {a.shape} and {b.shape}: each at least one seed, of the same tasks")
    observed = statistic(a) - statistic(b)
    pooled = np.sort(np.concatenate([a, b]), 0)
    chosen, exact = splits_of(min(len(a), len(b)), len(pooled), a.shape[1], seed=seed)
    groups = (np.take_along_axis(pooled[None], which, 1) for which in (chosen, remaining(chosen, len(pooled))))
    first, second = (statistic(group, axis=(1, 2)) for group in groups)
    return Permuted(observed, tail(first - second, observed, exact, float(np.ptp(pooled))), len(chosen), exact)


def sign_flip_test(differences: ArrayLike, *, seed: int = 0) -> Permuted:
    """Two-sided test that the mean of paired differences [S] is 0: under it each might as well have the other sign
    (Fisher, 1935).

    All 2^S signs are looked at up to 20,000 of them, else 10,000 random ones, p = (1 + #) / 10,001.
    """
    d = np.sort(np.asarray(differences, float))
    if d.ndim != 1 or not len(d):
        raise ValueError(f"differences of shape {d.shape}: at least one, of one task")
    exact = 2 ** len(d) <= ENUMERATED
    if exact:
        signs = 1 - 2 * (np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], (REPLICATES, len(d)))
    observed = float(d.mean())
    return Permuted(observed, tail((signs * d).mean(1), observed, exact, float(2 * np.abs(d).max())), len(signs), exact)


def smallest_p(n: int, m: int) -> float:
    """The least p that a permutation test of the IQM can give n against m seeds, of one task, whatever the scores.

    Runs that the IQM leaves out at the inner ends may change sides, and equal numbers may change names: 3 against 3
    give 0.1 at the least, 4 against 4 0.057, 5 against 5 0.016.
    """
    ways = comb(n + m, n)
    least = (1 + (n == m)) * comb(n // 4 + m // 4, n // 4) / ways
    return least if ways <= ENUMERATED else max(least, 1 / (1 + REPLICATES))


def holm(p: Sequence[float]) -> list[float]:
    """p corrected for testing all of them (Holm, 1979): max over j <= i of min(1, (m - j + 1) p_j), p_j sorted."""
    order = np.argsort(np.asarray(p, float), kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.maximum.accumulate(np.minimum(1, factors * np.asarray(p, float)[order]))
    back = np.empty(len(p))
    back[order] = corrected
    return [float(one) for one in back]


@dataclass(frozen=True)
class Welch:
    """Welch's test: t, its degrees of freedom, two-sided p, and the interval of mean(x) - mean(y)."""

    t: float
    df: float
    p: float
    interval: Bounds


def welch(x: ArrayLike, y: ArrayLike, *, level: float = 0.95) -> Welch | None:
    """Welch's t test of two means of [S] and [S'] (Welch, 1947); None below two seeds, or where no score varies."""
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

    a, b = (np.sort(np.asarray(z, float)) for z in (x, y))
    if min(len(a), len(b)) < 2:
        return None
    parts = [float((z - z[0]).var(ddof=1)) / len(z) for z in (a, b)]  # exactly 0 where all are equal
    error = float(np.sqrt(sum(parts)))
    if error == 0:
        return None
    shares = [part / sum(parts) for part in parts]
    df = 1 / sum(share**2 / (len(z) - 1) for share, z in zip(shares, (a, b), strict=True))
    off, half = mean(a) - mean(b), float(stdtrit(df, (1 + level) / 2)) * error
    return Welch(off / error, df, float(2 * stdtr(df, -abs(off / error))), (off - half, off + half))


def not_inferior(x: ArrayLike, y: ArrayLike, margin: float) -> bool | None:
    """Whether x is shown to be worse than y by less than `margin`: the 95 % Welch interval lies above -margin.

    None where there is no such interval. False means "not shown" (Piaggio et al., 2012), never "worse".
    """
    found = welch(x, y)
    return None if found is None else found.interval[0] > -margin


def improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Probability that a run of x scores above one of y, ties half (Agarwal et al., 2021), x [S] or [S K]; over tasks.

    The rank sum of Mann and Whitney (1947) over S S'.
    """
    a, b = (np.asarray(z, float).reshape(len(np.asarray(z)), 1, -1) for z in (x, y))
    b = b.swapaxes(0, 1)
    return float(((a > b) + 0.5 * (a == b)).mean())


def cliffs_delta(x: ArrayLike, y: ArrayLike) -> float:
    """2 P - 1 of the probability of `improvement` (Cliff, 1993): from -1 to 1, 0 where neither is ahead."""
    return 2 * improvement(x, y) - 1
