"""What each memory is worth on a T-Maze, beside the fully observed twin of it: `python benchmarks/twins.py`.

Runs `romanesco compare --twin` on what `tmaze_memories.py` trained at one length, and trains what is missing. Brackets
hold 95 % intervals over seeds. What is finished is not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from record import row, write
from tmaze_memories import BUDGETS, MEMORIES, SEEDS, run_of


def rows_of(memory: str, command: str, length: int, told: dict) -> list[dict[str, object]]:
    """`told`: of one agent, what `romanesco compare --twin --json` prints."""
    entry = lambda metric, value, interval=None: row(
        f"L {length}, {memory}", command, metric, [value], SEEDS, interval=interval
    )
    rows = [
        entry("IQM on the task", told["task"]),
        entry("IQM on the twin", told["twin"]),
        entry("observability gap", told["gap"], told["gap_interval"]),
        entry("memory bias", told["bias"], told["bias_interval"]),
    ]
    if told["recovers"] is not None:
        rows.append(entry("episodes that recover, %", 100 * told["recovers"]))
    if told["steps"] is not None:
        rows.append(entry("steps to recover", told["steps"]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=20, choices=BUDGETS["tmaze"])
    parser.add_argument("--memories", nargs="+", default=list(MEMORIES), choices=MEMORIES, metavar="MEMORY")
    parser.add_argument("--root", default="runs/tmaze_memories", help="where the runs lie")
    args = parser.parse_args()
    command = "python benchmarks/twins.py" + f" --length {args.length}" * (args.length != 20)
    runs = [str(run_of("tmaze", memory, args.length, args.root).path) for memory in args.memories]
    words = [sys.executable, "-m", "romanesco", "compare", "--twin", "--json", *runs]
    told = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for memory, one in zip(args.memories, told, strict=True):
        write("twins", rows_of(memory, command, args.length, one), replace=False)


if __name__ == "__main__":
    main()
