"""What part of training a world takes: `python benchmarks/shares.py`.

Of an update of a preset, one seed. A world in the program: the CPU-seconds of all threads for the steps of an update
under random actions, of those of the whole update, measured in turn. One outside of it: the time that a run says it
waited for its world (`time/env_s`), of all but evaluations and logs; its processes use the CPU meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile

import jax
from envs import runner
from record import row, times, write
from record import runner as updating

import romanesco as rm
from romanesco.lab.build import Objects, environment
from romanesco.lab.compose import resolve
from romanesco.lab.devices import numerics
from romanesco.lab.programs import Programs

PRESETS = {  # and what is changed
    "cartpole/mlp": (),
    "cartpole/gru": (),
    "tmaze/small": (),
    "mysterypath/gru, symbolic": ("env.obs=symbolic", "encoder=linear", "num_envs=32"),
    "mysterypath/gru, pixels": ("num_envs=32",),
    "craftax/gru": ("num_envs=64",),
    "lander/mlp": (),
    "atari/cnn": (),
    "memory_maze/gru": (),
}
UPDATES = 2  # in one measurement


def share(label: str, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of an update of a preset, of its world's steps alone, and the latter's percentage."""
    preset, words = label.partition(",")[0], [*PRESETS[label], "seeds=1", "eval.every=0"]
    config = resolve(preset, words)[0]
    env = environment(config.env)
    if hasattr(env, "streams"):
        return waited(preset, words, repeats)
    with numerics(config):
        update = updating(Programs(config, env, Objects(), jax.devices()[:1]), [0], UPDATES)
        play, _ = runner(env, config.num_envs, UPDATES * config.steps_per_update)
        update()
        pairs = [[times(act, 1, warm=True)[1][0] for act in (play, update)] for _ in range(repeats)]
    return columns([[x / UPDATES for x in pair] for pair in pairs], "CPU ms")


def waited(preset: str, words: list[str], repeats: int) -> dict[str, list[float]]:
    """The same of a world outside of the program, by the wall, between the rows of a run."""
    with tempfile.TemporaryDirectory() as root:
        run = rm.train(preset, *words, f"updates={repeats + 1}", "log.every=1", "log.sinks=[]", root=root, name="share")
        rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    spent = [[row["time/env_s"], sum(row[f"time/{phase}_s"] for phase in ("env", "policy", "learn"))] for row in rows]
    return columns([[b - a for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(spent)], "wall ms")


def columns(pairs: list[list[float]], unit: str) -> dict[str, list[float]]:
    """Of seconds of (world, whole update)."""
    return {
        f"world, {unit}": [1e3 * a for a, _ in pairs],
        f"update, {unit}": [1e3 * b for _, b in pairs],
        "world's share, %": [100 * a / b for a, b in pairs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=PRESETS, action="append", help="one of them; again for another")
    args = parser.parse_args()
    for label in args.only or PRESETS:
        told = share(label, args.repeats).items()
        write("shares", [row(label, "python benchmarks/shares.py", *column) for column in told], replace=False)


if __name__ == "__main__":
    main()
