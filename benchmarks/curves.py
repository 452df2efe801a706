"""How agents learn in each family of worlds, at what two cores afford: `python benchmarks/curves.py [FAMILY ...]`.

Small agents and short budgets, not the published ones. Of each arm: the greedy return after its budget, and along the
way the return of training episodes, which `figures.py` draws. IQM over seeds, brackets hold 95 % bootstrap intervals.
What is finished is not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from record import row, write
from training import trained

from romanesco.study.curves import curves_of
from romanesco.study.runs import Run
from romanesco.study.stats import band, interval, iqm

POINTS = 24  # of a curve
REACHED = "rollout/achievement/"


@dataclass(frozen=True)
class Family:
    """A preset, what all arms change of it, and the arms; settings are words of the command line."""

    preset: str
    words: tuple[str, ...]
    arms: dict[str, tuple[str, ...]]


FAMILIES = {
    "mysterypath": Family(
        "mysterypath/small",
        ("seeds=3",),
        {"agalite": (), "gru": ("memory=gru", "memory.units=147"), "none": ("memory=none",)},
    ),
    "cartpole": Family(
        "cartpole/gru",
        ("env.no_velocity=true", "seeds=5"),
        {"gru": (), "none": ("memory=none",)},
    ),
    "popgym": Family(
        "tmaze/small",
        ("env=popgym_repeat_previous", "curriculum=none", "total_steps=400e3", "seeds=3"),
        {"agalite": (), "gru": ("memory=gru", "memory.units=73"), "none": ("memory=none",)},
    ),
    "craftax": Family(
        "craftax/gru",
        ("env.variant=classic", "num_envs=64", "total_steps=1e6", "seeds=3", "memory.units=128"),
        {"gru": ()},
    ),
    "craftax_symbolic": Family(
        "craftax/gru",
        ("num_envs=64", "total_steps=1e6", "seeds=3", "memory.units=128"),
        {"gru": ()},
    ),
    "atari": Family(
        "atari/cnn",
        ("env=atari/boxing", "env.obs=ram", "encoder=mlp", "total_steps=500e3", "seeds=3"),
        {"none": ("algorithm.learning_rate=1e-3",)},
    ),
}


def rows_of(run: Run, family: str, arm: str) -> list[dict[str, object]]:
    name, command = f"{family}, {arm}", f"python benchmarks/curves.py {family}"
    ends = [seed["greedy"]["mean"] for seed in (run.results or {})["seeds"]]
    entry = lambda metric, value, spread=None: row(name, command, metric, [value], len(ends), interval=spread)
    rows = [
        entry("greedy return", float(iqm(np.array(ends))), interval(ends)),
        entry("env steps a seed", (run.results or {})["steps"]),
    ]
    steps, values = curves_of(run, lambda told: told.get("rollout/ep_rew_mean"), points=POINTS) or ((), ())
    points = zip(steps, *band(values), strict=True) if len(steps) else ()
    rows += [entry(f"return at {step:.0f}", middle, (low, high)) for step, middle, low, high in points]
    for key in sorted(key for key in next(iter(run.metrics(run.seeds[0]))) if key.startswith(REACHED)):
        _, shares = curves_of(run, lambda told, key=key: told.get(key), points=POINTS) or ((), ())
        if np.any(last := 100 * np.asarray(shares)[:, -1:]):
            (middle,), (low,), (high,) = band(last)
            rows.append(entry(f"{key.removeprefix(REACHED)} at the end, %", middle, (low, high)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--root", type=Path, default=Path("runs/curves"), help="where the runs lie")
    args = parser.parse_args()
    if unknown := set(args.families) - set(FAMILIES):
        parser.error(f"no family {min(unknown)}; there are {', '.join(FAMILIES)}")
    for name in args.families:
        family = FAMILIES[name]
        for arm, words in family.arms.items():
            quiet = ("log.every=1%", "eval.every=100%")
            run = trained(args.root / family.preset / f"{name}-{arm}", family.preset, (*family.words, *words, *quiet))
            write("curves", rows_of(run, name, arm), replace=False)


if __name__ == "__main__":
    main()
