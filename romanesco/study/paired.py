"""What a change of trained agents takes from them: the same seeds play the same episodes with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from romanesco.study import stats
from romanesco.study.claims import bounds, probability
from romanesco.study.inference import holm, sign_flip_test
from romanesco.study.stats import Bounds
from romanesco.study.verdict import number

Scores = Mapping[int | str, float]  # by seed


@dataclass(frozen=True)
class Taken:
    """The whole agents' scores less those without `b`, by seed: their mean, a bootstrap interval of it, the sign-flip
    test."""

    a: str
    b: str
    difference: float
    interval: Bounds | None
    p: float
    p_holm: float
    seeds: int


def taken(whole: str, scores: Mapping[str, Scores]) -> list[Taken]:
    """What each of the others, named in `scores` beside `whole`, lacks; p corrected by Holm's method over them."""
    others = {name: of for name, of in scores.items() if name != whole}
    off = {name: np.array([scores[whole][seed] - of[seed] for seed in of]) for name, of in others.items()}
    tests = {name: sign_flip_test(d) for name, d in off.items()}
    corrected = holm([test.p for test in tests.values()])
    return [
        Taken(whole, name, test.difference, stats.interval(off[name], statistic=stats.mean), test.p, p, len(off[name]))
        for (name, test), p in zip(tests.items(), corrected, strict=True)
    ]


def taken_rows(found: Sequence[Taken]) -> tuple[list[str], list[list[str]]]:
    """Head and a row each."""
    head = ["pair", "mean difference", "95 % interval", "p", "p Holm", "seeds"]
    rows = [[f"{one.a} - {one.b}", number(one.difference), bounds(one.interval) or "-", probability(one.p),
             probability(one.p_holm), str(one.seeds)] for one in found]  # fmt: skip
    return head, rows
