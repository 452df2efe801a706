"""Statistics of scores over training seeds: the replicate is the seed. S seeds, K tasks, T points of a curve."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

REPLICATES = 10_000
Bounds = tuple[float, float]


def iqm(scores: ArrayLike, axis: tuple[int, ...] | None = None) -> Any:
    """Interquartile mean (Agarwal et al., 2021): of the n values, floor(n / 4) are left out at each end.

    `axis` names the axes that hold the values and go; by default all do, and the answer is a float.
    """
    scores = np.asarray(scores, float)
    axes = tuple(range(scores.ndim)) if axis is None else axis
    kept = [i for i in range(scores.ndim) if i not in axes]
    flat = np.transpose(scores, (*kept, *axes)).reshape(*(scores.shape[i] for i in kept), -1)
    n = flat.shape[-1]
    if n == 0:
        raise ValueError("no scores")
    middle = np.sort(flat, -1)[..., n // 4 : n - n // 4]
    least = middle[..., :1]
    middle = least[..., 0] + (middle - least).mean(-1)  # exact where all are equal
    return float(middle) if axis is None else middle


def interval(
    scores: ArrayLike,
    *,
    statistic: Callable = iqm,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Bounds | None:
    """Percentile interval of a stratified bootstrap: seeds are drawn again within each task.

    `scores` is [S] or [S K]; `statistic(x, axis=(1, 2))` takes the replicates x [R S K] to [R]. None below two seeds,
    which say nothing about others. The order of the seeds does not matter; equal scores x give exactly (x, x).
    """
    table = np.asarray(scores, float)
    if len(table) < 2:
        return None
    table = np.sort(table.reshape(len(table), -1), 0)
    draw = np.random.default_rng(seed).integers(len(table), size=(replicates, *table.shape))
    again = statistic(np.take_along_axis(table[None], draw, 1), axis=(1, 2))
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def band(curves: ArrayLike, *, level: float = 0.95, replicates: int = 2_000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """IQM over seeds of curves [S T], and its pointwise bootstrap interval -> middle, low, high, each [T].

    A NaN is a seed that has no value there; a point without any seed is NaN, one with a single seed has no width.
    The IQM is linear in sorted values, so that one draw of ranks serves all points with as many seeds.
    """
    ranked = np.sort(np.asarray(curves, float), 0)  # NaN comes last
    counts = np.count_nonzero(~np.isnan(ranked), 0)
    middle, low, high = (np.full(counts.shape, np.nan) for _ in range(3))
    for n in np.unique(counts[counts > 0]):
        here = counts == n
        values = ranked[:n, here]
        draw = np.sort(np.random.default_rng(seed).integers(n, size=(replicates, n)), 1)[:, n // 4 : n - n // 4]
        weights = (draw[:, :, None] == np.arange(n)).mean(1)
        middle[here] = iqm(values, axis=(0,))
        low[here], high[here] = np.quantile(weights @ values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return middle, low, high


def t_interval(scores: ArrayLike, *, level: float = 0.95) -> Bounds | None:
    """Student's interval of the mean; None below two seeds."""
    from scipy.special import stdtrit  # the quantile of scipy.stats.t, whose import takes a second

    x = np.asarray(scores, float)
    if len(x) < 2:
        return None
    half = stdtrit(len(x) - 1, (1 + level) / 2) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean() - half), float(x.mean() + half)


def steps_to_threshold(curve: Iterable[tuple[int, float]], threshold: float | None) -> int | None:
    """The step of the first evaluation (step, mean) at or above the threshold; None where there is none."""
    return next((int(step) for step, mean in curve if threshold is not None and mean >= threshold), None)
