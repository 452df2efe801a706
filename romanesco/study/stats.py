"""Statistics of scores over training seeds: the replicate is the seed. S seeds, K tasks."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

REPLICATES = 10_000


def iqm(scores: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    """Interquartile mean (Agarwal et al., 2021): of the n values, floor(n / 4) are left out at each end.

    `axis` names the axes that hold the values, all of them by default; the others stay.
    """
    scores = np.asarray(scores, float)
    axes = tuple(range(scores.ndim)) if axis is None else axis
    kept = [i for i in range(scores.ndim) if i not in axes]
    flat = np.transpose(scores, (*kept, *axes)).reshape(*(scores.shape[i] for i in kept), -1)
    n = flat.shape[-1]
    if n == 0:
        raise ValueError("no scores")
    return np.sort(flat, -1)[..., n // 4 : n - n // 4].mean(-1)


def interval(
    scores: np.ndarray,
    *,
    statistic: Callable = iqm,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of a stratified bootstrap: seeds are drawn again within each task.

    `scores` is [S] or [S K]. None for a single seed, which says nothing about others. The order of the seeds does not
    matter; equal scores give an interval of width 0.
    """
    table = np.sort(np.asarray(scores, float).reshape(len(scores), -1), 0)
    seeds, tasks = table.shape
    if seeds < 2:
        return None
    draw = np.random.default_rng(seed).integers(seeds, size=(replicates, seeds, tasks))
    again = np.take_along_axis(table[None], draw, 1)
    low, high = np.quantile(statistic(again, axis=(1, 2)), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def band(curves: np.ndarray, *, level: float = 0.95, replicates: int = 2_000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """IQM over seeds of curves [S T] and its pointwise bootstrap interval -> middle, low, high [T]; low and high are
    the middle for a single seed."""
    middle = iqm(curves, axis=(0,))
    if len(curves) < 2:
        return middle, middle, middle
    draw = np.random.default_rng(seed).integers(len(curves), size=(replicates, len(curves)))
    low, high = np.quantile(iqm(curves[draw], axis=(1,)), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return middle, low, high


def t_interval(scores: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of the mean; None for a single seed."""
    x = np.asarray(scores, float)
    if len(x) < 2:
        return None
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean() - half), float(x.mean() + half)


def steps_to_threshold(curve: Sequence[tuple[int, float]], threshold: float | None) -> int | None:
    """The step of the first evaluation at or above the threshold; None where it is never reached."""
    return next((int(step) for step, mean in curve if threshold is not None and mean >= threshold), None)
