"""Worlds alone, under random actions: `python benchmarks/envs.py --peer-python PYTHON`.

Steps a CPU-second of all threads, of N streams in one program, beside the library that a world comes from: memory-gym's
own loop over one environment, in a process of its own, measured in turn. PYTHON has it
(`pip install --no-deps memory-gym==1.0.2`, numpy, gymnasium, pygame).

`--share`: instead, what part of an update of a preset is its world's, one seed. In the program: the CPU-seconds of all
threads for the steps of an update under random actions, of those of the whole update, measured in turn. Outside of it:
the time that a run says it waited for its world (`time/env_s`), of all but evaluations and logs; its processes use the
CPU meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

COMMAND = "python benchmarks/envs.py"
STREAMS = {1: 0.05, 256: 1.0, 1024: 1.0}  # and the share of a world's steps that they play
WORLDS = {  # name: registry name, options, steps of all streams in one call, what it is measured against
    "tmaze": ("tmaze", {}, 2_000_000, None),
    "mysterypath, grid, pixels": ("mysterypath", {"variant": "grid", "obs": "pixels"}, 10_000, "grid"),
    "mysterypath, grid, symbolic": ("mysterypath", {"variant": "grid", "obs": "symbolic"}, 60_000, "grid"),
    "mysterypath, continuous, pixels": (
        "mysterypath",
        {"variant": "continuous", "obs": "pixels"},
        30_000,
        "continuous",
    ),
}
PEER_STEPS = 2000
SHARES = {  # a preset and what is changed
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
HOSTS = ("lander/mlp", "atari/cnn", "memory_maze/gru")  # of SHARES, those whose world lies outside the program
UPDATES = 2  # in one measurement of a share


def runner(env: Any, streams: int, steps: int) -> tuple[Callable[[], None], int]:
    """A compiled function that plays all streams on from where its last call ended, and its steps."""
    import equinox as eqx
    import jax

    T, least, n = max(1, steps // streams), env.action_space.start, env.action_space.n

    @eqx.filter_jit
    def play(env, key, at):
        def tick(at, key):
            k_act, k_env = jax.random.split(key)
            actions = jax.random.randint(k_act, (streams,), least, least + n)
            return jax.vmap(env.step)(jax.random.split(k_env, streams), at[0], actions), None

        return jax.lax.scan(tick, at, jax.random.split(key, T))[0]  # state and time step: no observation is left out

    keys = jax.random.split(jax.random.key(0), streams)
    at = eqx.filter_jit(lambda env, keys: jax.vmap(env.reset)(keys))(env, keys)
    calls = 0

    def run() -> None:
        nonlocal at, calls
        calls += 1
        at = jax.block_until_ready(play(env, jax.random.key(calls), at))

    run(), run()
    return run, T * streams


def peer(variant: str) -> dict[str, float]:
    """memory-gym's environment under random actions, easy."""
    import os

    os.environ["SDL_VIDEODRIVER"] = os.environ["SDL_AUDIODRIVER"] = "dummy"
    import numpy as np
    from memory_gym.mystery_path import MysteryPathEnv
    from memory_gym.mystery_path_grid import GridMysteryPathEnv

    env = {"grid": GridMysteryPathEnv, "continuous": MysteryPathEnv}[variant]()
    easy = {"show_origin": True, "show_goal": True, "reward_path_progress": 0.1}
    actions = np.random.default_rng(0).integers(0, 4 if variant == "grid" else 3, (PEER_STEPS, 2))
    env.reset(seed=0, options=easy)
    wall, cpu = time.perf_counter(), time.process_time()
    for action in actions:
        if env.step(action[0] if variant == "grid" else action)[2]:
            env.reset(options=easy)
    return {"wall": PEER_STEPS / (time.perf_counter() - wall), "cpu": PEER_STEPS / (time.process_time() - cpu)}


def share(label: str, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds of an update of a preset, of its world's steps alone, and the latter's percentage."""
    import jax
    from record import runner as updating
    from record import times

    from romanesco.lab.build import Objects, environment
    from romanesco.lab.compose import resolve
    from romanesco.lab.devices import numerics
    from romanesco.lab.programs import Programs

    config = resolve(label.partition(",")[0], [*SHARES[label], "seeds=1", "eval.every=0"])[0]
    env = environment(config.env)
    with numerics(config):
        update = updating(Programs(config, env, Objects(), jax.devices()[:1]), [0], UPDATES)
        play, _ = runner(env, config.num_envs, UPDATES * config.steps_per_update)
        update()
        pairs = [[times(act, 1, warm=True)[1][0] for act in (play, update)] for _ in range(repeats)]
    return shares([[x / UPDATES for x in pair] for pair in pairs], "CPU ms")


def shares(pairs: list[list[float]], unit: str) -> dict[str, list[float]]:
    """Seconds of (world, whole update) as columns."""
    return {
        f"world, {unit}": [1e3 * a for a, _ in pairs],
        f"update, {unit}": [1e3 * b for _, b in pairs],
        "world's share, %": [100 * a / b for a, b in pairs],
    }


def host_share(label: str, repeats: int) -> dict[str, list[float]]:
    """Wall milliseconds of an update, and of it those in the world, between the rows of a run."""
    import romanesco as rm

    with tempfile.TemporaryDirectory() as root:
        settings = [*SHARES[label], "seeds=1", f"updates={repeats + 1}", "log.every=1", "log.sinks=[]", "eval.every=0"]
        run = rm.train(label, *settings, root=root, name="share")
        rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    spent = [[row["time/env_s"], sum(row[f"time/{phase}_s"] for phase in ("env", "policy", "learn"))] for row in rows]
    return shares([[b - a for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(spent)], "wall ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has memory-gym")
    parser.add_argument("--peer", choices=("grid", "continuous"), help="measure memory-gym once, as JSON")
    parser.add_argument("--only", choices=[*WORLDS, *SHARES], action="append", help="one of them; again for another")
    parser.add_argument("--share", action="store_true", help="of presets: what part of an update is the world's")
    parser.add_argument("--streams", type=int, choices=STREAMS, action="append", help="of one program")
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(peer(args.peer)))
        return
    from record import row, write

    from romanesco.envs import ENVS

    if args.share:
        if args.streams or not set(args.only or ()) <= set(SHARES):
            parser.error(f"--share is of presets, {', '.join(SHARES)}; it takes no --streams")
        for label in args.only or SHARES:
            told = (host_share if label in HOSTS else share)(label, args.repeats).items()
            write("shares", [row(label, f"{COMMAND} --share", *column) for column in told], replace=False)
        return

    def theirs(variant: str) -> dict[str, float]:
        done = subprocess.run(
            [args.peer_python, __file__, "--peer", variant], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    def ours(run: Callable[[], None], steps: int) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        return {"wall": steps / (time.perf_counter() - wall), "cpu": steps / (time.process_time() - cpu)}

    if not set(args.only or ()) <= set(WORLDS):
        parser.error(f"without --share --only is a world, {', '.join(WORLDS)}")
    rows = []
    for label in args.only or WORLDS:
        name, options, steps, library = WORLDS[label]
        for streams in args.streams or STREAMS:
            run, done = runner(ENVS[name](**options), streams, int(STREAMS[streams] * steps))
            pairs = [(ours(run, done), theirs(library) if library else None) for _ in range(args.repeats)]
            figures = {"steps/CPU-s": [a["cpu"] for a, _ in pairs], "steps/s": [a["wall"] for a, _ in pairs]}
            if library:
                figures["memory-gym's steps/CPU-s"] = [b["cpu"] for _, b in pairs]
                figures["ratio"] = [a["cpu"] / b["cpu"] for a, b in pairs]
            rows += [row(f"{label}, N {streams}", COMMAND, metric, values) for metric, values in figures.items()]
    write("envs", rows, replace=not (args.only or args.streams))


if __name__ == "__main__":
    main()
