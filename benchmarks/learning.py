"""What the presets reach: `python benchmarks/learning.py RUN ...` writes its table, a preset a row.

Each is made by the command in its row; the value is the IQM over seeds of the final greedy return, 100 episodes a
seed, with its 95 % bootstrap interval, and the number of seeds that reach the threshold at the end.
"""

from __future__ import annotations

import argparse

import numpy as np
from record import row, write

from romanesco.study.runs import Run
from romanesco.study.stats import interval, iqm


def rows_of(runs: list[Run]) -> list[dict[str, object]]:
    """The rows of one preset, whose seeds may lie in several runs."""
    run = runs[0]
    scores = np.array([s["greedy"]["mean"] for r in runs for s in (r.results or {})["seeds"] if s["greedy"]])
    steps = (run.results or {})["steps"]
    command = f"romanesco train {run.config['preset']} seeds={len(scores)}"
    bounds = interval(scores) or (float("nan"), float("nan"))
    rows = [
        row(run.label, command, "greedy return after its budget", [float(iqm(scores))], len(scores), interval=bounds),
        row(run.label, command, "env steps a seed", [steps], len(scores)),
    ]
    if run.threshold is not None:
        solved = int((scores >= run.threshold).sum())
        rows.append(row(run.label, command, "seeds at the threshold", [solved], len(scores)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    presets: dict[str, list[Run]] = {}
    for run in map(Run, parser.parse_args().runs):
        presets.setdefault(run.config["preset"], []).append(run)
    write("learning", [row for runs in presets.values() for row in rows_of(runs)], replace=False)


if __name__ == "__main__":
    main()
