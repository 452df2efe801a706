"""What runs come to, in sentences: where each ended, and how far to trust that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from romanesco.core.precision import OFF_POLICY
from romanesco.study.curves import mean_of, thousands
from romanesco.study.runs import Run
from romanesco.study.stats import interval, iqm, mean

CHANCE = 0.1  # a success rate this close to one half is called chance in a T-Maze
ENOUGH = 10  # seeds
RANGE = (
    "With 95 % confidence the least and the greatest of n runs enclose only 34 % (n = 5), 61 % (10) or 78 % (20) of "
    "all runs."
)


def number(x: float) -> str:
    return f"{x:.4g}"


def percent(x: float) -> str:
    return f"{100 * x:.3g} %"


def plural(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def span(values: Sequence[float], form: Any = number) -> str:
    """IQM, and its interval where there are two seeds or more; empty without a value."""
    if not values:
        return ""
    around = interval(values)
    bounds = [form(x).removesuffix(" %") for x in around or ()]
    return f"{form(iqm(values))} [{', '.join(bounds)}]" if bounds else form(iqm(values))


def seed_results(run: Run) -> list[dict[str, Any]]:
    return [s for s in (run.results or {}).get("seeds") or [] if isinstance(s, dict)]


def finals(run: Run, field: str = "mean") -> list[float]:
    """Final greedy means, or rates (`success`, `reached`), of the seeds; of a running one its latest evaluations."""
    if run.status != "running" and (ended := [s["greedy"] for s in seed_results(run) if s.get("greedy")]):
        return [score[field] for score in ended if score.get(field) is not None]
    read = mean_of("return" if field == "mean" else field)
    last = [read(rows[-1]) for seed in run.seeds if (rows := run.evals(seed, run.mode))]
    return [x for x in last if x is not None]


def at_chance(run: Run) -> bool:
    """Whether a T-Maze agent ends as one that guesses."""
    maze = (run.config.get("env") or {}).get("name") in ("tmaze", "tmaze_walk")
    right = correct(finals(run, "success"), finals(run, "reached"))
    return maze and right is not None and abs(right - 0.5) <= CHANCE


def correct(success: Sequence[float], reached: Sequence[float]) -> float | None:
    """P(correct | reach): the share of right decisions where there was one to make; of all where that is not told."""
    if not reached:
        return iqm(success) if success else None
    return mean(success) / mean(reached) if any(reached) else None


def _score(run: Run) -> str:
    """IQM return 2.1 [2, 2.2] (success 100 %) over 6 seeds."""
    returns, success, reached = finals(run), finals(run, "success"), finals(run, "reached")
    rate = f" (success {percent(iqm(success))}{', which is chance' if at_chance(run) else ''}" if success else ""
    if success and reached:
        right = correct(success, reached)
        rate += f"; P(reach) {percent(mean(reached))}, P(correct | reach) {'n/a' if right is None else percent(right)}"
    return f"IQM return {span(returns)}{rate and f'{rate})'} over {plural(len(returns), 'seed')}"


def _solved(run: Run) -> str:
    if run.threshold is None:
        return ""
    found = [s["steps_to_threshold"] for s in seed_results(run) if s.get("steps_to_threshold") is not None]
    when = f", the first after {thousands(min(found))} steps" if found else ""
    return f"; {len(found)} of {len(run.seeds)} reached the threshold of {number(run.threshold)}{when}"


def _training(run: Run) -> str:
    """What is known of a run without evaluations."""
    off = (run.config.get("eval") or {}).get("every") == 0
    said = "evaluation was off" if off else "no evaluation yet"
    last = run.last_returns
    return f"{said}; latest training return {span(last)} over {plural(len(last), 'seed')}" if last else said


def verdict(run: Run, label: str) -> str:
    """One sentence about a run."""
    if run.status == "finished" and finals(run):
        return f"{label}: {_score(run)} after {thousands(run.steps)} steps{_solved(run)}."
    of = f" of {thousands(run.total)}" if run.total and run.status != "finished" else ""
    known = f"latest evaluation: {_score(run)}" if finals(run) else _training(run)
    return f"{label}: {run.status} at {thousands(run.steps)}{of} steps; {known}."


def off_policy_limit(run: Run) -> float:
    """What a healthy run stays below, at its precision."""
    return OFF_POLICY.get(run.config.get("precision", ""), OFF_POLICY["float32"])


def largest_off_policy(run: Run, seed: int | None = None) -> float | None:
    seeds = run.seeds if seed is None else [seed]
    found = [r["train/off_policy"] for s in seeds for r in run.metrics(s) if r.get("train/off_policy") is not None]
    return max(found, default=None)


def warnings(run: Run) -> list[str]:
    """What limits how far the numbers can be trusted."""
    n = len(run.seeds)
    said = [f"The run is {run.status}" + (f": {run.error}" if run.error else ".")] if run.status != "finished" else []
    frozen = [s for s in seed_results(run) if s.get("frozen_at") is not None]
    for s in frozen:
        where = f"Seed {s['seed']} was frozen at step {s['frozen_at']:,} by numbers that are not finite"
        said.append(f"{where}; it is left out, so n is {n - len(frozen)}.")
    off, limit = largest_off_policy(run), off_policy_limit(run)
    if off is not None and off > limit:
        said.append(f"off_policy reached {off:.1e}: acting and replay disagree (limit {limit:.0e}).")
    rows = [row for seed in run.seeds for row in run.metrics(seed)]
    if rows and all(row.get("rollout/ep_rew_mean") is None for row in rows):
        said.append("No training episode has finished yet, so there is no training return.")
    said += [f"{text}." for text in run.warnings]
    narrow = "fewer than 10, so an interval is narrower than it should be" if n > 1 else "nothing is known of others"
    return said + ([f"{plural(n, 'seed')}: {narrow}. {RANGE}"] if n < ENOUGH else [])
