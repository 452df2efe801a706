"""Steps to a threshold, where some runs never reach it: those are censored, not solved. S seeds, R splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romanesco.study.inference import Permuted, splits_of, tail
from romanesco.study.stats import Floats


def steps_to_threshold(curve: Iterable[tuple[int, float]], threshold: float | None) -> int | None:
    """The step of the first evaluation (step, mean) at or above the threshold; None where there is none."""
    return next((int(step) for step, mean in curve if threshold is not None and mean >= threshold), None)


@dataclass(frozen=True)
class Times:
    """When each seed reached the threshold: `steps` [S], of those that did not (`reached` [S]) how long it was watched.

    In order of steps, reached ones first among equals, so that nothing depends on the order of runs.
    """

    steps: Floats
    reached: NDArray[np.bool_]

    @staticmethod
    def of(found: Iterable[float | None], budget: float) -> Times:
        """Steps, None for never; what was reached after the budget counts as never."""
        known = [(budget, True) if x is None or x > budget else (x, False) for x in found]
        steps, censored = zip(*sorted(known), strict=True) if known else ((), ())
        return Times(np.array(steps, float), ~np.array(censored, bool))

    @property
    def solved(self) -> float | None:
        """The share that reached it."""
        return float(self.reached.mean()) if len(self.steps) else None


def kaplan_meier(times: Times) -> tuple[Floats, Floats]:
    """The share that has not reached the threshold yet (Kaplan and Meier, 1958).

    -> steps [J] at which it falls, and the share [J] from there on; before the first it is 1.
    """
    at = np.unique(times.steps[times.reached])
    watched = (times.steps[:, None] >= at).sum(0)
    reached = ((times.steps[:, None] == at) & times.reached[:, None]).sum(0)
    return at, np.cumprod(1 - reached / watched)


def restricted_mean(times: Times, budget: float) -> float | None:
    """E[min(T, budget)], the area under the Kaplan-Meier curve up to the budget; None without seeds."""
    if not len(times.steps):
        return None
    return float(_areas(times, np.ones((1, len(times.steps)), bool), budget)[0])


def median_steps(times: Times) -> float | None:
    """The first step by which half have reached the threshold; None where half never do."""
    at, left = kaplan_meier(times)
    half = at[left <= 0.5 + 1e-12]
    return float(half[0]) if len(half) else None


def restricted_mean_test(x: Times, y: Times, budget: float, *, seed: int = 0) -> Permuted:
    """Two-sided permutation test of the restricted means of x and y, up to a budget (Horiguchi and Uno, 2020)."""
    steps, reached = np.concatenate([x.steps, y.steps]), np.concatenate([x.reached, y.reached])
    order = np.lexsort((~reached, steps))
    pooled = Times(steps[order], reached[order])
    mine, all_of = np.arange(len(steps)) < len(x.steps), len(steps)
    chosen, exact = splits_of(min(len(x.steps), len(y.steps)), all_of, seed=seed)
    member = np.zeros((len(chosen), all_of), bool)
    np.put_along_axis(member, chosen[..., 0], True, 1)
    observed = (_areas(pooled, group[None, order], budget)[0] for group in (mine, ~mine))
    difference = float(next(observed) - next(observed))
    again = _areas(pooled, member, budget) - _areas(pooled, ~member, budget)
    return Permuted(difference, tail(again, difference, exact, budget), len(chosen), exact)


def _areas(times: Times, member: NDArray[np.bool_], budget: float) -> Floats:
    """Areas [R] under the Kaplan-Meier curves of R groups, `member` [R S] of `times`, from 0 to the budget."""
    watched = np.cumsum(member[:, ::-1], 1)[:, ::-1]
    falls = member & times.reached
    left = np.cumprod(1 - falls / np.maximum(watched, 1), 1)
    before = np.concatenate([np.ones((len(member), 1)), left], 1)
    edges = np.concatenate([[0.0], np.minimum(times.steps, budget), [budget]])
    return before @ np.diff(edges)
