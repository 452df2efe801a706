"""Whether every preset of the larger worlds starts and learns: `python benchmarks/smoke.py [PRESET ...]`.

Two updates of four streams, each row of the log: how far the first minibatch's ratios are from 1 (`train/off_policy`),
and the norm of the gradient: 0 would say that nothing is learned. Programs are compiled without XLA's optimizations:
they do the same, and are ready in a fraction of the time.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time

os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false " + os.environ.get("XLA_FLAGS", "")

import jax
from record import row, write

import romanesco as rm
from romanesco.lab.files import presets
from romanesco.study.runs import Run

WORLDS = ("mysterypath", "craftax", "memory_maze", "atari")
NAMES = [name for name in presets() if name.split("/")[0] in WORLDS]
SMALL = (
    "num_envs=4", "algorithm.horizon=16", "algorithm.minibatches=2", "updates=2", "eval.every=0", "log.every=1",
    "log.sinks=[]", "seeds=1",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", default=NAMES, metavar="PRESET")
    args = parser.parse_args()
    if unknown := set(args.presets) - set(NAMES):
        parser.error(f"no preset {min(unknown)}; there are {', '.join(NAMES)}")
    for name in args.presets:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as root:
            told = list(Run(rm.train(name, *SMALL, root=root, name="smoke").path).metrics(0))
        seconds = time.perf_counter() - begun
        figures = {
            "updates": [len(told)],
            "off_policy": [entry["train/off_policy"] for entry in told],
            "norm of the gradient": [entry["train/grad_norm"] for entry in told],
            "seconds": [seconds],
        }
        write("smoke", [row(name, "python benchmarks/smoke.py", *column) for column in figures.items()], replace=False)
        jax.clear_caches()
        gc.collect()


if __name__ == "__main__":
    main()
