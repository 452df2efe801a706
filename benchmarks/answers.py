"""How soon the command line answers, beside the time that `import jax` takes: `python benchmarks/answers.py`.

Each answer is a process of its own, alternating with the import; the figure is the ratio of their wall times. Goal:
below 1, for what needs no JAX should not wait for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from record import row, write

COMMAND = "python benchmarks/answers.py"
ANSWERS = {
    "--help": ["--help"],
    "list": ["list"],
    "train --help": ["train", "--help"],
    "a misspelt key": ["train", "cartpole/mlp", "algorithm.gama=1"],
    "--dry-run": ["train", "quickstart", "--dry-run"],
}


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    rows = []
    for name, words in ANSWERS.items():
        pairs = [(seconds("-m", "romanesco", *words), seconds("-c", "import jax")) for _ in range(repeats)]
        rows.append(row(name, COMMAND, "time / that of `import jax`", [a / b for a, b in pairs]))
    write("answers", rows)


if __name__ == "__main__":
    main()
