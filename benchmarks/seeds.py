"""Ten seeds in one run against ten single runs, without their compilation: `python benchmarks/seeds.py`.

On a CPU the goal is wall time <= (CPU-seconds of the ten single runs) / cores; on an accelerator <= 1.5x one run.
Both sides alternate in one process.
"""

from __future__ import annotations

import argparse
import os

from record import row, runner, times, write

from romanesco.lab.build import Objects, environment
from romanesco.lab.compose import resolve
from romanesco.lab.devices import devices_for, numerics
from romanesco.lab.programs import Programs

COMMAND = "python benchmarks/seeds.py"


def measure(preset: str, overrides: list[str], updates: int, seeds: int, repeats: int) -> list[dict[str, object]]:
    config = resolve(preset, [*overrides, f"seeds={seeds}", "eval.every=0"])[0]
    with numerics(config):
        devices = devices_for(config, seeds=seeds)
        programs = Programs(config, environment(config.env), Objects(), devices)
        alone = Programs(config, programs.setup.env, Objects(), devices[:1])
        together = runner(programs, list(range(seeds)), updates)
        single = [runner(alone, [seed], updates) for seed in range(seeds)]
        ten_wall, ten_cpu, one_wall, one_cpu = [], [], [], []
        for _ in range(repeats):
            w, c = times(together, 1)
            ten_wall += w
            ten_cpu += c
            pairs = [times(run, 1) for run in single]
            one_wall.append(sum(w[0] for w, _ in pairs))
            one_cpu.append(sum(c[0] for _, c in pairs))
    cores = len(os.sched_getaffinity(0))
    steps = updates * config.steps_per_update * seeds
    goal = [t / (c / cores) for t, c in zip(ten_wall, one_cpu, strict=True)]
    name = f"{preset}, {seeds} seeds, {len(devices)} devices"
    return [
        row(name, COMMAND, "steps/s, all seeds", [steps / t for t in ten_wall], seeds),
        row(name, COMMAND, "steps/s, one after another", [steps / t for t in one_wall], seeds),
        row(name, COMMAND, "CPU-seconds, in one run", ten_cpu, seeds),
        row(name, COMMAND, "CPU-seconds, single runs", one_cpu, seeds),
        row(name, COMMAND, "wall / (single CPU-s / cores)", goal, seeds),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    rows = measure("cartpole/mlp", [], 40, args.seeds, args.repeats)
    rows += measure("quickstart", [], 10, args.seeds, args.repeats)
    write("seeds", rows)


if __name__ == "__main__":
    main()
