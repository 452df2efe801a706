"""A comparison in sentences that claim no more than was tested."""

from __future__ import annotations

from collections.abc import Sequence

from romanesco.core.errors import BadInput
from romanesco.study.arms import Seed, arms_of
from romanesco.study.curves import thousands
from romanesco.study.pairs import LEVEL, Comparison, Pair, compared
from romanesco.study.runs import Run
from romanesco.study.stats import Bounds
from romanesco.study.summary import Summary
from romanesco.study.verdict import ENOUGH, RANGE, number

FEW_PAIRS = 6  # up to so many have their sentence, of more only the decided ones
NO_MORE = "no difference was shown, which is not evidence that there is none"


def probability(p: float) -> str:
    """0.10, 0.057, 0.0012."""
    return "1" if p >= 0.995 else f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


def bounds(found: Bounds | None) -> str:
    return "" if found is None else f"[{number(found[0])}, {number(found[1])}]"


def counted(arm: Summary) -> str:
    """10; 10 - 3 = 7 where three have no score."""
    lost = len(arm.missing)
    return f"{arm.n + lost} - {lost} = {arm.n}" if lost else str(arm.n)


def _score(arm: Summary) -> str:
    return f"{number(arm.iqm)} {bounds(arm.interval)}".strip() + f" ({counted(arm)} seed{'s' if arm.n > 1 else ''})"


def _tested(pair: Pair, pairs: int) -> str:
    """The test's p, and what it comes to."""
    how = f"all {pair.splits:,} splits" if pair.exact else f"{pair.splits:,} random splits"
    holm = f", {probability(pair.p_holm)} corrected for {pairs} pairs by Holm" if pairs > 1 else ""
    said = f"permutation test p = {probability(pair.p)} ({how}){holm}"
    if pair.better:
        return f"{said}: significant at {100 * LEVEL:g} %, in favor of {pair.better}"
    return f"{said}: {NO_MORE}"


def pair_sentence(told: Comparison, pair: Pair) -> str:
    """What a pair comes to: both IQMs, the difference, the test, the probability of improvement."""
    a, b = (next(arm for arm in told.arms if arm.name == name) for name in (pair.a, pair.b))
    around = f", 95 % interval {bounds(pair.interval)}" if pair.interval else ""
    return (
        f"{a.name} has an IQM {told.unit} of {_score(a)}, {b.name} of {_score(b)}: a difference of "
        f"{number(pair.difference)}{around}; {_tested(pair, len(told.pairs))}. A run of {a.name} ends above one of "
        f"{b.name} with probability {number(pair.improvement)}, ties counted half."
    )


def _one_seed(told: Comparison) -> list[str]:
    alone = [arm.name for arm in told.arms if arm.n == 1]
    if not alone:
        return []
    has = "has" if len(alone) == 1 else "have"
    return [f"{listed(alone)} {has} one seed: no interval, since one run says nothing about how far others would lie."]


def _few(told: Comparison, pair: Pair) -> list[str]:
    """That no scores of so few seeds could have decided."""
    a, b = (next(arm.n for arm in told.arms if arm.name == name) for name in (pair.a, pair.b))
    pairs, least = len(told.pairs), pair.smallest_p * len(told.pairs)
    if least <= LEVEL:
        return []
    times = f", times {pairs} pairs" if pairs > 1 else ""
    smallest = f"the smallest possible p is {probability(pair.smallest_p)}{times}"
    return [f"With {a} against {b} seeds {smallest}: no scores could decide."]


def _margin(told: Comparison, pair: Pair) -> list[str]:
    """Non-inferiority, in both directions."""
    if told.margin is None or pair.not_inferior is None:
        return []
    if pair.welch is None:
        return [f"Margin {number(told.margin)}, {pair.a} and {pair.b}: no Welch interval (it needs two seeds an arm "
                "and scores that vary), so non-inferiority cannot be judged."]  # fmt: skip
    names = ((pair.a, pair.b), (pair.b, pair.a))
    said = [f"that {one} is not inferior to {other} is {'shown' if shown else 'not shown'}"
            for (one, other), shown in zip(names, pair.not_inferior, strict=True)]  # fmt: skip
    means = f"the difference of means {pair.a} - {pair.b} has the 95 % Welch interval {bounds(pair.welch.interval)}"
    return [f"Margin {number(told.margin)}: {means}: {'; '.join(said)}."]


def _steps(told: Comparison, pair: Pair) -> list[str]:
    """Sample efficiency of a pair."""
    a, b = (next(arm for arm in told.arms if arm.name == name).efficiency for name in (pair.a, pair.b))
    if pair.steps is None or a is None or b is None:
        return []
    each = [f"{name} {one.reached} of {len(one.times)} seeds, {thousands(one.restricted_mean)} steps"
            for name, one in ((pair.a, a), (pair.b, b))]  # fmt: skip
    off = f"{'-' if pair.steps.difference < 0 else ''}{thousands(abs(pair.steps.difference))}"
    return [f"Threshold {number(a.threshold)} reached by {each[0]}; {each[1]} (restricted means: seeds that never "
            f"reach it count as censored at the end); difference {off}, permutation p = "
            f"{probability(pair.steps.p)}, not corrected."]  # fmt: skip


def detectable_sentence(told: Comparison, pair: Pair) -> str:
    a, b = (next(arm.n for arm in told.arms if arm.name == name) for name in (pair.a, pair.b))
    if pair.detectable is None:
        return f"With {a} against {b} seeds a t test could detect no difference, however large."
    between = f" between {pair.a} and {pair.b}" if len(told.pairs) > 1 else ""
    here = f", which is {number(pair.detectable * pair.deviation)}{between}" if pair.deviation else ""
    return (f"With {a} against {b} seeds you could detect d >= {pair.detectable:.3g} standard deviations{here}, with "
            "probability 0.8.")  # fmt: skip


def missing_sentences(told: Comparison) -> list[str]:
    """Which seeds have no score, grouped by reason; they are left out of every number."""
    said = []
    for arm in told.arms:
        reasons: dict[str, list[Seed]] = {}
        for seed, why in arm.missing.items():
            reasons.setdefault(why, []).append(seed)
        named = "; ".join(f"seed{'s' if len(of) > 1 else ''} {', '.join(map(str, of))} ({why})"
                          for why, of in reasons.items())  # fmt: skip
        said += [f"Missing of {arm.name}, and left out: {named}."] if named else []
    return said


def _mismatch(told: Comparison) -> list[str]:
    pairs = lambda values: ", ".join(f"{arm.name} {x}" for arm, x in zip(told.arms, values, strict=True))
    return [f"Mismatch allowed: {key}: {pairs(values)}." for key, values in told.mismatch.items()]


def _never_varied(told: Comparison) -> list[str]:
    alike = [arm.name for arm in told.arms if arm.degenerate]
    return [f"All seeds of {listed(alike)} score the same, so its interval has no width (degenerate)."
            if len(alike) == 1 else f"All seeds of each of {listed(alike)} score the same, so their intervals have no "
            "width (degenerate)."] if alike else []  # fmt: skip


def listed(said: Sequence[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def sentences(told: Comparison) -> list[str]:
    """All that a comparison has to say: first what was found, then what limits it."""
    shown = [pair for pair in told.pairs if len(told.pairs) <= FEW_PAIRS or pair.better]
    said = [text for pair in shown for text in (pair_sentence(told, pair), *_steps(told, pair), *_margin(told, pair))]
    rest = len(told.pairs) - len(shown)
    said += [f"Of {rest} {'more ' if shown else ''}pairs: {NO_MORE}."] if rest else []
    few = list(dict.fromkeys(text for pair in told.pairs for text in _few(told, pair)))
    power = list(dict.fromkeys(detectable_sentence(told, pair) for pair in shown if pair.better is None))
    said += [*_one_seed(told), *few, *_never_varied(told), *missing_sentences(told), *_mismatch(told), *power]
    narrow = any(1 < arm.n < ENOUGH for arm in told.arms)
    return said + ([f"Below {ENOUGH} seeds intervals are narrower than they should be. {RANGE}"] if narrow else [])


def standing(runs: Sequence[Run]) -> list[str]:
    """The comparison of runs as far as it goes, for a page about them: what cannot be compared is said, not raised."""
    try:
        arms = arms_of(runs)
        judged = [arm for arm in arms if arm.scores]
        waiting = [f"{arm.name} is not compared: {'; '.join(dict.fromkeys(arm.missing.values()))}." for arm in arms
                   if not arm.scores]  # fmt: skip
        if len(judged) < 2:
            return ["There is nothing to compare yet: fewer than two of these runs have a final score.", *waiting]
        return [*sentences(compared(judged, allow_mismatch=True)), *waiting]
    except BadInput as error:
        return [f"Not compared. {error}."]
