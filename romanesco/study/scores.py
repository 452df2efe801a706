"""Scores of finished runs as files that other tools read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.study.arms import Arm, arms_of
from romanesco.study.runs import Run


def as_csv(runs: Sequence[Run]) -> str:
    """Final scores as a table: first the seed, then a column a run; a seed without a score has an empty cell."""
    arms = arms_of(runs)
    seeds = sorted(
        {seed for arm in arms for seed in (*arm.scores, *arm.missing)}, key=lambda seed: (str(type(seed)), seed)
    )
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["seed", *(arm.name for arm in arms)])
    table.writerows([seed, *(arm.scores.get(seed, "") for arm in arms)] for seed in seeds)
    return out.getvalue()


def as_marl_eval(runs: Sequence[Run]) -> str:
    """Evaluations as marl-eval reads them (Gorsane et al., 2022): environment, task, algorithm, run, step.

    Its plots need the same evaluations of every run: raises `BadInput` naming the seeds that lack one.
    """
    arms = arms_of(runs)
    lacking = {arm.name: _lacking(arm) for arm in arms}
    if any(lacking.values()):
        told = "; ".join(f"{name}: {'; '.join(x)}" for name, x in lacking.items() if x)
        raise BadInput(f"marl-eval needs the same evaluations of every seed. {told}")
    _same(arms)
    tree: dict[str, Any] = {}
    alike = lambda run: run and (run.task, run.agent)
    for arm in arms:
        assert arm.run is not None
        world = str((arm.run.config.get("env") or {}).get("name") or arm.run.task)
        place = tree.setdefault(world, {}).setdefault(arm.run.task, {})
        name = arm.run.agent if sum(alike(arm.run) == alike(other.run) for other in arms) == 1 else arm.name
        place[name] = {f"seed_{seed}": _run(arm.run, int(seed)) for seed in arm.scores}
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _absolute(run: Run) -> dict[int, float]:
    """The mean return of each seed's best policy over fresh episodes."""
    rows = (run.results or {}).get("seeds") or []
    return {row["seed"]: row["absolute"]["mean"] for row in rows if row.get("absolute")}


def _points(run: Run, seed: int) -> dict[int, list[float]]:
    """Step -> returns of the episodes of each whole evaluation."""
    rows = run.evals(seed, "greedy")
    return {row["step"]: row["return"] for row in rows if row.get("return") and None not in row["return"]}


def _lacking(arm: Arm) -> list[str]:
    """What each seed lacks, in words."""
    run = arm.run
    assert run is not None
    known = {int(seed): _points(run, int(seed)) for seed in (*arm.scores, *arm.missing)}
    steps, absolute = {step for points in known.values() for step in points}, _absolute(run)
    told = []
    for seed, points in sorted(known.items()):
        if seed in arm.missing:
            told.append(f"seed {seed} is missing ({arm.missing[seed]})")
        elif steps - set(points):
            told.append(f"seed {seed} has no evaluation at step {min(steps - set(points)):,}")
        elif seed not in absolute:
            told.append(f"seed {seed} has no absolute score in results.json")
    return told


def _same(arms: Sequence[Arm]) -> None:
    """Raises where two runs were not evaluated alike."""
    alike = lambda run, seed: {step: len(returns) for step, returns in _points(run, seed).items()}
    first, told = arms[0], [(arm, seed, alike(arm.run, seed)) for arm in arms for seed in arm.scores]
    for arm, seed, points in told:
        if points != told[0][2]:
            raise BadInput(
                f"marl-eval needs the same evaluations of every run: seed {seed} of {arm.name} has {len(points)}, "
                f"{sum(points.values())} episodes in all, seed {told[0][1]} of {first.name} {len(told[0][2])} and "
                f"{sum(told[0][2].values())}, or other steps"
            )
    wanted = set(arms[0].scores)
    for arm in arms[1:]:
        if len(arm.scores) != len(wanted):
            lacks = ", ".join(map(str, sorted(wanted ^ set(arm.scores), key=str)))
            raise BadInput(f"marl-eval needs as many seeds of every run: {first.name} and {arm.name} differ in {lacks}")


def _run(run: Run, seed: int) -> dict[str, Any]:
    steps = {
        f"step_{k}": {"step_count": step, "return": returns}
        for k, (step, returns) in enumerate(sorted(_points(run, seed).items()))
    }
    return {**steps, "absolute_metrics": {"return": [_absolute(run)[seed]]}}
