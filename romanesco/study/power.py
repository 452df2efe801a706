"""How many seeds it takes to see a difference of d standard deviations, by Student's t test (Cohen, 1988)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EFFECTS = (0.5, 0.8, 1.0, 1.5, 2.0)
SEEDS = (3, 5, 10, 20)
LARGEST = 100.0  # standard deviations: what even two seeds see
WANTED, LEVEL = 0.8, 0.05


def power(effect: float, n: int, m: int | None = None, *, level: float = LEVEL) -> float | None:
    """Chance to find a difference of `effect` standard deviations with n against m seeds, two-sided.

    By the noncentral t distribution, m = n by default; None below two seeds an arm.
    """
    from scipy.special import nctdtr, stdtrit  # scipy.stats takes a second to import

    m = n if m is None else m
    if min(n, m) < 2:
        return None
    df, shift = n + m - 2, abs(effect) * (n * m / (n + m)) ** 0.5
    critical = float(stdtrit(df, 1 - level / 2))
    tails = 1 - nctdtr(df, shift, critical), nctdtr(df, shift, -critical)
    return float(np.nan_to_num(tails[0], nan=1.0) + np.nan_to_num(tails[1]))  # NaN: too far out to be computed


def detectable(n: int, m: int | None = None, *, wanted: float = WANTED, level: float = LEVEL) -> float | None:
    """The least effect, in standard deviations, that n against m seeds find with the power `wanted`; None below two."""
    if power(1, n, m, level=level) is None:
        return None
    low, high = 0.0, LARGEST
    for _ in range(60):
        middle = (low + high) / 2
        enough = (power(middle, n, m, level=level) or 0) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def seeds_needed(effect: float, *, wanted: float = WANTED, level: float = LEVEL) -> int:
    """Seeds of each arm that find `effect` with the power `wanted`."""
    low, high = 1, 2
    while (power(effect, high, level=level) or 0) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = (power(effect, middle, level=level) or 0) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def power_table(seeds: Sequence[int] = SEEDS, effects: Sequence[float] = EFFECTS) -> list[dict[str, float | int]]:
    """A row an effect: seeds an arm for a power of 0.8, and the power of each number of `seeds` an arm."""
    return [
        {"effect": d, "seeds": seeds_needed(d), **{f"power_{n}": round(power(d, n) or 0, 4) for n in seeds}}
        for d in effects
    ]
