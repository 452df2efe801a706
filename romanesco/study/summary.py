"""One arm by itself: its scores, how soon it reached the threshold, what its evaluations along the way say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romanesco.study import convergence as along
from romanesco.study import stats, survival
from romanesco.study.arms import Arm, Seed
from romanesco.study.stats import Bounds


@dataclass(frozen=True)
class Efficiency:
    """How soon the threshold was reached. Steps are right-censored at `steps`, the end of the run."""

    threshold: float
    steps: int
    reached: int
    solved: float
    restricted_mean: float
    median_steps: float | None
    times: list[int | None]


@dataclass(frozen=True)
class Summary:
    """An arm by itself. Intervals are of 95 %: percentile bootstrap for the IQM, BCa for the mean."""

    name: str
    n: int
    scores: dict[Seed, float]
    missing: dict[Seed, str]
    iqm: float
    interval: Bounds | None
    mean: float
    mean_interval: Bounds | None
    degenerate: bool  # no score differs from another, so that no interval has a width
    worst: float
    best: float
    efficiency: Efficiency | None
    curve: dict[str, Any] | None  # means over seeds of what evaluations along the way say


def summary(arm: Arm, seed: int) -> Summary:
    values = arm.values
    return Summary(
        name=arm.name, n=len(values), scores=arm.scores, missing=arm.missing,
        iqm=stats.iqm(values), interval=stats.interval(values, seed=seed),
        mean=stats.mean(values), mean_interval=stats.bca_interval(values, seed=seed),
        degenerate=len(values) > 1 and stats.degenerate(values), worst=min(values), best=max(values),
        efficiency=_efficiency(arm), curve=_curve(arm),
    )  # fmt: skip


def times_of(arm: Arm) -> tuple[list[int | None], int] | None:
    """Steps to the threshold of the scored seeds, and the step where the run ended; None without a threshold."""
    results = (arm.run.results if arm.run else None) or {}
    if results.get("threshold") is None or not results.get("steps"):
        return None
    found = {row["seed"]: row.get("steps_to_threshold") for row in results["seeds"]}
    return [found.get(seed) for seed in arm.scores], int(results["steps"])


def _efficiency(arm: Arm) -> Efficiency | None:
    known = times_of(arm)
    if known is None:
        return None
    steps, end = known
    times = survival.Times.of(steps, end)
    reached = int(times.reached.sum())
    mean = survival.restricted_mean(times, end) or 0.0
    threshold = arm.about["threshold"]
    return Efficiency(threshold, end, reached, reached / len(steps), mean, survival.median_steps(times), steps)


def _curve(arm: Arm) -> dict[str, Any] | None:
    """Over the seeds' evaluations: mean area, late drop and dispersion; the slope at the end, with its interval."""
    if arm.run is None:
        return None
    tables = [_evaluations(arm, seed) for seed in arm.scores]
    budget = float(arm.about.get("budget") or 0)
    parts = {
        "auc": [along.auc(*table, budget) for table in tables],
        "late_drop": [along.late_drop(table[1]) for table in tables],
        "dispersion": [along.dispersion(table[1]) for table in tables],
    }
    known = {name: [x for x in found if x is not None] for name, found in parts.items()}
    slopes = [x for table in tables if (x := along.slope(*table)) is not None]
    told: dict[str, Any] = {name: stats.mean(found) if found else None for name, found in known.items()}
    slope, bounds, moving = along.convergence(slopes) if slopes else (None, None, None)
    rising = None if slope is None or moving is None else moving and slope > 0
    return {**told, "slope": slope, "slope_interval": bounds, "still_learning": rising}


def _evaluations(arm: Arm, seed: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = arm.run.evals(seed, arm.run.mode) if arm.run else []
    means = [(row["step"], [x for x in row.get("return") or [] if x is not None]) for row in rows]
    table = np.array([(step, np.mean(values)) for step, values in means if values], float).reshape(-1, 2)
    return table[:, 0], table[:, 1]
