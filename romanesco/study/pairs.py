"""Whether one agent beats another: scores, intervals, tests and what they cannot show, over training seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from romanesco.core.errors import BadInput, among
from romanesco.study import inference, stats, survival
from romanesco.study.arms import Arm, mismatches
from romanesco.study.power import detectable, power_table
from romanesco.study.stats import Bounds
from romanesco.study.summary import Summary, summary, times_of

LEVEL = 0.05  # of the test that decides


@dataclass(frozen=True)
class Pair:
    """Arm a against arm b: a minus b. `better` names the arm that the corrected test finds ahead; None: undecided."""

    a: str
    b: str
    difference: float
    interval: Bounds | None
    p: float
    p_holm: float
    exact: bool
    splits: int
    smallest_p: float
    better: str | None
    improvement: float
    cliffs_delta: float
    welch: inference.Welch | None
    deviation: float | None  # pooled standard deviation of scores
    detectable: float | None  # in such deviations, with a power of 0.8
    not_inferior: tuple[bool | None, bool | None] | None  # a to b, b to a, by less than the margin
    steps: inference.Permuted | None  # of the restricted means of the steps to the threshold


@dataclass(frozen=True)
class Comparison:
    """Arms, all their pairs, and what limits both."""

    arms: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    unit: str
    mismatch: dict[str, list[Any]]
    margin: float | None
    power: list[dict[str, float | int]]
    sources: tuple[Arm, ...]


def compared(
    arms: Sequence[Arm], *, margin: float | None = None, allow_mismatch: bool = False, against: str | None = None,
    seed: int = 0,
) -> Comparison:  # fmt: skip
    """Every two of the arms, by the permutation test of the IQM, corrected by Holm's method over all pairs.

    `against` is the name of an arm that the others are compared with, and not with one another. Raises `BadInput`:
    fewer than two arms, an arm without a score, worlds that differ; budgets, thresholds or evaluations that differ,
    unless `allow_mismatch`.
    """
    unequal = _comparable(arms, margin, allow_mismatch)
    pairs = [_pair(a, b, margin, seed) for a, b in _chosen(arms, against)]
    corrected = inference.holm([pair.p for pair in pairs])
    decided = [
        dataclasses.replace(
            pair,
            p_holm=p,
            better=(pair.a if pair.difference > 0 else pair.b) if p <= LEVEL and pair.difference else None,
        )
        for pair, p in zip(pairs, corrected, strict=True)
    ]
    unit = "return" if all(arm.run for arm in arms) else "score"
    summaries = tuple(summary(arm, seed) for arm in arms)
    return Comparison(summaries, tuple(decided), unit, unequal, margin, power_table(), tuple(arms))


def _chosen(arms: Sequence[Arm], against: str | None) -> list[tuple[Arm, Arm]]:
    if against is None:
        return list(combinations(arms, 2))
    base = next((arm for arm in arms if arm.name == against), None)
    if base is None:
        names = [arm.name for arm in arms]
        raise BadInput(f"against={against}: no such arm{among(against, names)}")
    return [(base, arm) for arm in arms if arm is not base]


def _comparable(arms: Sequence[Arm], margin: float | None, allow_mismatch: bool) -> dict[str, list[Any]]:
    """What differs, where it may."""
    if len(arms) < 2:
        only = f"; {arms[0].name} is the only one" if arms else ""
        raise BadInput(f"compare: at least two runs, or a CSV with two columns of scores{only}")
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise BadInput(f"margin={margin:g}: a number above 0, in units of the score")
    for arm in arms:
        if not arm.scores:
            why = "; ".join(dict.fromkeys(arm.missing.values())) or "it has no seeds"
            path = arm.run.path if arm.run else None
            remedy = f"; go on with: romanesco train --resume {path}" if path and "the run is" in why else ""
            raise BadInput(f"{arm.name}: no seed has a final score: {why}{remedy}")
    unequal = mismatches(arms)
    if "env.name" in unequal:
        worlds = ", ".join(f"{arm.name} in {arm.about['env.name']}" for arm in arms if "env.name" in arm.about)
        raise BadInput(f"compare: different worlds ({worlds}), whose scores share no scale")
    if unequal and not allow_mismatch:
        said = "; ".join(f"{key}: {', '.join(map(str, values))}" for key, values in unequal.items())
        names = ", ".join(arm.name for arm in arms)
        raise BadInput(f"compare: {names} differ in {said}. Train them alike, or compare anyway with --allow-mismatch")
    return unequal


def _pair(a: Arm, b: Arm, margin: float | None, seed: int) -> Pair:
    x, y = a.values, b.values
    found = inference.permutation_test(x, y, seed=seed)
    both = None if margin is None else (inference.not_inferior(x, y, margin), inference.not_inferior(y, x, margin))
    return Pair(
        a=a.name, b=b.name, difference=found.difference, interval=stats.difference_interval(x, y, seed=seed),
        p=found.p, p_holm=found.p, exact=found.exact, splits=found.splits,
        smallest_p=inference.smallest_p(len(x), len(y)), better=None,
        improvement=inference.improvement(x, y), cliffs_delta=inference.cliffs_delta(x, y),
        welch=inference.welch(x, y), deviation=_deviation(x, y), detectable=detectable(len(x), len(y)),
        not_inferior=both, steps=_steps(a, b, seed),
    )  # fmt: skip


def _steps(a: Arm, b: Arm, seed: int) -> inference.Permuted | None:
    """Test of the restricted means of the steps to a threshold that both have, up to where the shorter run ended."""
    mine, other = times_of(a), times_of(b)
    if mine is None or other is None or a.about["threshold"] != b.about["threshold"]:
        return None
    x, y = survival.Times.of(*mine), survival.Times.of(*other)
    return survival.restricted_mean_test(x, y, min(mine[1], other[1]), seed=seed)


def _deviation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Standard deviation pooled over both arms; None where nothing varies or nothing can be said."""
    if min(len(x), len(y)) < 2:
        return None
    squares = sum(float((np.asarray(z) - min(z)).var()) * len(z) for z in (x, y))
    return (squares / (len(x) + len(y) - 2)) ** 0.5 or None
