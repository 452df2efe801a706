"""What the evaluations of a run say besides their last: how fast, how steady, whether still rising. T evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from romanesco.study.stats import Bounds, mean, t_interval

LAST = 0.2  # of the evaluations: where a slope is looked for


def auc(steps: ArrayLike, values: ArrayLike, budget: float) -> float | None:
    """Area under an evaluation curve by trapezoids, over the budget: the mean score along the way.

    steps [T], values [T]; None below two evaluations or without a budget.
    """
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    return float(np.trapezoid(values, steps)) / budget if len(steps) > 1 and budget > 0 else None


def late_drop(values: ArrayLike) -> float | None:
    """Best minus final evaluation of [T]: what was learned and lost again."""
    values = np.asarray(values, float)
    return float(values.max() - values[-1]) if len(values) else None


def dispersion(values: ArrayLike) -> float | None:
    """Interquartile range of the differences of successive evaluations [T] (Chan et al., 2020); None below two."""
    steps = np.diff(np.asarray(values, float))
    return float(np.subtract(*np.quantile(steps, [0.75, 0.25]))) if len(steps) else None


def slope(steps: ArrayLike, values: ArrayLike) -> float | None:
    """Least-squares slope, in score a step, over the last fifth of the evaluations [T], but at least three of them.

    None below three evaluations.
    """
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    n = max(3, round(LAST * len(steps)))
    if len(steps) < 3:
        return None
    x = steps[-n:] - mean(steps[-n:])
    return float(x @ (values[-n:] - mean(values[-n:])) / (x @ x))


def convergence(slopes: Sequence[float]) -> tuple[float, Bounds | None, bool | None]:
    """Mean slope of the seeds [S], Student's interval of it, and whether it excludes 0: still learning, or losing."""
    bounds = t_interval(slopes)
    return mean(slopes), bounds, None if bounds is None else not bounds[0] <= 0 <= bounds[1]
