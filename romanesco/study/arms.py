"""What is compared: one final score a training seed, of runs or of a table; and which seeds have none, and why."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.study.labels import flat, labels_of
from romanesco.study.runs import Row, Run

Seed = int | str
NOT_WORLD = {"vectorization", "timeout", "stack", "rescale_actions", "flatten_actions"}  # how an agent meets its world
NOTHING = {"", "nan", "na", "none", "null", "inf", "-inf", "+inf"}  # in a cell: no score


@dataclass(frozen=True)
class Arm:
    """One agent: its seeds' final scores, the seeds without one and the reason, and how the scores came about."""

    name: str
    scores: dict[Seed, float]
    missing: dict[Seed, str]
    about: dict[str, Any] = field(default_factory=dict)  # what must agree, as far as it is known
    run: Run | None = None

    @property
    def values(self) -> list[float]:
        return list(self.scores.values())


def found_arms(sources: Iterable[Any], find: Callable[[Any], Path]) -> list[Arm]:
    """Arms of runs, of what `find` knows as one, and of CSV files."""
    told: list[Run | Path] = []
    for source in sources:
        if isinstance(source, Run):
            told.append(source)
        elif Path(source).suffix.lower() == ".csv" or Path(source).is_file():
            told.append(Path(source))
        else:
            told.append(Run(find(source)))
    return arms_of(told)


def arms_of(sources: Sequence[Run | Path]) -> list[Arm]:
    """Runs, and CSV files of which each column is an arm. Their names are told apart; the same run twice is refused."""
    runs = [source for source in sources if isinstance(source, Run)]
    places = [run.path.resolve() for run in runs]
    for place in places:
        if places.count(place) > 1:
            raise BadInput(f"{place}: named twice; a run cannot be compared with itself")
    names = iter(labels_of(runs))
    nested = [[of_run(one, next(names))] if isinstance(one, Run) else of_csv(one) for one in sources]
    arms = [arm for group in nested for arm in group]
    twice = [arm.name for arm in arms if [other.name for other in arms].count(arm.name) > 1]
    if twice:
        raise BadInput(f"{twice[0]}: two arms of this name; rename a column")
    return arms


def of_run(run: Run, name: str) -> Arm:
    """The final greedy mean of every seed, from results.json, else from the last line of evals.jsonl."""
    results = run.results or {}
    rows = {row["seed"]: row for row in results.get("seeds") or [] if isinstance(row, dict) and "seed" in row}
    scores, missing = {}, {}
    for seed in sorted({*run.seeds, *rows}):
        found = _final(run, seed, rows.get(seed))
        if isinstance(found, str):
            missing[seed] = found
        else:
            scores[seed] = found
    return Arm(name, scores, missing, _about(run, results), run)


def _final(run: Run, seed: int, row: Row | None) -> float | str:
    """A seed's score, or why there is none."""
    if run.status not in ("finished", "failed"):
        of = f" of {run.total:,}" if run.total else ""
        return f"the run is {run.status} at step {run.steps:,}{of}"
    if row is None and run.status == "failed":
        return f"the run failed: {run.error}" if run.error else "the run failed"
    if row is None:
        return _last_evaluation(run, seed)
    if row.get("frozen_at") is not None:
        return f"stopped at step {row['frozen_at']:,} by numbers that are not finite"
    return _finite((row.get("greedy") or {}).get("mean"))


def _last_evaluation(run: Run, seed: int) -> float | str:
    rows = run.evals(seed, "greedy")
    if not rows:
        off = (run.config.get("eval") or {}).get("every") == 0
        return "evaluation was off" if off else "it was never evaluated"
    end = max([run.steps, *(row["step"] for other in run.seeds for row in run.evals(other, "greedy"))])
    if rows[-1]["step"] < end:
        return f"not evaluated at the end, step {end:,}; its last evaluation is at step {rows[-1]['step']:,}"
    returns: list[Any] = rows[-1].get("return") or []
    return _finite(sum(returns) / len(returns) if returns and None not in returns else None)


def _finite(score: Any) -> float | str:
    known = isinstance(score, (int, float)) and math.isfinite(score)
    return score if known else "its final score is not a finite number"


def _about(run: Run, results: Row) -> dict[str, Any]:
    """What two runs must share to be compared."""
    world = run.config.get("env") if isinstance(run.config.get("env"), dict) else {}
    told = {"env.name": run.task, **{f"env.{k}": v for k, v in flat(world).items() if k not in NOT_WORLD}}
    told["budget"] = results.get("budget", run.total)
    if "threshold" in results:
        told["threshold"] = results["threshold"]
    episodes = {row["greedy"]["episodes"] for row in results.get("seeds") or [] if row.get("greedy")}
    if episodes:
        told["evaluation episodes"] = ", ".join(map(str, sorted(episodes)))
    if results.get("evaluation_seeds"):
        told["evaluation seeds"] = _ranges(results["evaluation_seeds"])
    return told


def _ranges(numbers: Sequence[int]) -> str:
    """0..99 where they follow each other, else a list."""
    first, last = min(numbers), max(numbers)
    whole = sorted(numbers) == list(range(first, last + 1)) and len(numbers) > 2
    return f"{first}..{last}" if whole else ", ".join(map(str, sorted(numbers)))


def of_csv(path: Path) -> list[Arm]:
    """A table with a head: the first column names the seed, every other one is an arm, a cell its final score.

    An empty or non-finite cell is a missing seed.
    """
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as a CSV table: {error}") from error
    head = [name.strip() for name in lines[0]] if lines else []
    if len(head) < 2 or len(lines) < 2:
        raise BadInput(f"{path}: a head and rows are needed, with commas: first the seed, then a column an arm")
    for name in head[1:]:
        if not name or head.count(name) > 1:
            raise BadInput(f"{path}: column `{name}` has no name of its own; the head is {', '.join(head)}")
    arms = [Arm(name, {}, {}) for name in head[1:]]
    seeds: set[Seed] = set()
    for number, line in enumerate(lines[1:], 2):
        if len(line) > len(head):
            raise BadInput(f"{path} line {number}: {len(line)} cells under {len(head)} names")
        cells = [cell.strip() for cell in line] + [""] * (len(head) - len(line))
        seed: Seed = int(cells[0]) if cells[0].isdecimal() else cells[0]
        if seed in seeds:
            raise BadInput(f"{path} line {number}: seed {seed} stands there twice")
        seeds.add(seed)
        for arm, cell in zip(arms, cells[1:], strict=True):
            _enter(arm, seed, cell, f"{path} line {number}, {arm.name}")
    return arms


def _enter(arm: Arm, seed: Seed, cell: str, where: str) -> None:
    if cell.lower() in NOTHING:
        arm.missing[seed] = f"`{cell}` in the table is not a finite number" if cell else "no number in the table"
        return
    try:
        score = float(cell)
    except ValueError:
        raise BadInput(f"{where}: `{cell}` is not a number; leave a cell empty where a seed has no score") from None
    if math.isfinite(score):
        arm.scores[seed] = score
    else:
        arm.missing[seed] = f"`{cell}` in the table is not a finite number"


def mismatches(arms: Sequence[Arm]) -> dict[str, list[Any]]:
    """What is known of at least two arms and not the same -> its value in each arm, None where unknown."""
    keys = dict.fromkeys(key for arm in arms for key in arm.about)
    found = {key: [arm.about.get(key) for arm in arms] for key in keys}
    known = {key: [arm.about[key] for arm in arms if key in arm.about] for key in keys}
    return {key: found[key] for key in keys if any(x != known[key][0] for x in known[key][1:])}
