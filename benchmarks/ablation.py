"""AGaLiTe without one of its parts, on a T-Maze of 60 cells: `python benchmarks/ablation.py`.

Runs `romanesco ablate` on `tmaze/small`: ten seeds of every arm, equal steps. Brackets hold 95 % intervals over seeds;
`full - it` and its p are those of `romanesco compare`, corrected by Holm's method over the six controls. What is
finished is not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from record import row, write

from romanesco.study.runs import Run

COMMAND = "python benchmarks/ablation.py"
CONTROLS = "exact,value_only,reference_basis,eta1,softplus,residual_gate"
SETTINGS = ("env.corridor_length=60", "seeds=10", "total_steps=400_000", "eval.every=100%", "log.every=2%")


def rows_of(told: dict) -> list[dict[str, object]]:
    """`told`: what `romanesco ablate --json` prints."""
    pairs = {pair["b"]: pair for pair in told["pairs"]}
    rows = []
    for arm in told["arms"]:
        name, model = arm["name"], told["models"][arm["name"]]

        def entry(metric: str, value: float, interval: list[float] | None = None, name: str = name, n: int = arm["n"]):
            return row(name, COMMAND, metric, [value], n, interval=interval)

        ends = [seed["greedy"] for seed in (Run(told["runs"][name]).results or {})["seeds"]]
        rows += [
            entry("IQM return", arm["iqm"], arm["interval"]),
            entry("mean return", arm["mean"], arm["mean_interval"]),
            entry("seeds with success > 95 %", sum(end["success"] > 0.95 for end in ends)),
            entry("parameters", model["parameters"]),
            entry("state", model["carry"]),
        ]
        if pair := pairs.get(name):
            rows += [entry("full - it", pair["difference"], pair["interval"]), entry("p, Holm", pair["p_holm"])]
    return rows


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    words = ["ablate", "tmaze/small", "--controls", CONTROLS, *SETTINGS, "--name", "l60", "--json"]
    done = subprocess.run([sys.executable, "-m", "romanesco", *words], check=True, stdout=subprocess.PIPE, text=True)
    write("ablation", rows_of(json.loads(done.stdout)))


if __name__ == "__main__":
    main()
