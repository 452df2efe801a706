"""Worlds alone, under random actions: `python benchmarks/envs.py --peer-python PYTHON`.

Steps a CPU-second of all threads, of N streams, and the ratio to what the library that a world comes from does by
itself, measured in turn: gymnax's and Craftax's own steps with their own autoresets in the same program's place, a
vector environment without us, memory-gym's and Memory Maze's own loop over one environment in a process of its own.
Memory Maze plays whole episodes, resets included. PYTHON has memory-gym
(`pip install --no-deps memory-gym==1.0.2`, numpy, gymnasium, pygame).
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

COMMAND = "python benchmarks/envs.py"
PEER_STEPS = 2000
Rate = dict[str, float]  # steps a second of the wall, and of the CPU


@dataclass(frozen=True)
class World:
    """A world, how many steps of all streams one measurement has, and what it is measured against."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 2_000_000
    streams: tuple[int, ...] = (1, 256, 1024)
    peer: str | None = None


WORLDS = {
    "tmaze": World("tmaze"),
    "mysterypath, grid, symbolic": World("mysterypath", {"variant": "grid", "obs": "symbolic"}, 60_000, peer="grid"),
    "mysterypath, grid, pixels": World("mysterypath", {"variant": "grid", "obs": "pixels"}, 10_000, peer="grid"),
    "mysterypath, continuous, pixels": World("mysterypath", {"variant": "continuous", "obs": "pixels"}, 30_000,
                                             peer="continuous"),
    "cartpole": World("cartpole", peer="gymnax:CartPole-v1"),
    "acrobot": World("acrobot", peer="gymnax:Acrobot-v1"),
    "mountaincar": World("mountaincar", peer="gymnax:MountainCar-v0"),
    "craftax, symbolic, lazy": World("craftax", {}, 5_000, (256,), peer="craftax"),
    "craftax, symbolic, pool": World("craftax", {"reset": "pool", "worlds": 256}, 5_000, (256,), peer="craftax"),
    "lander": World("lander", {}, 20_000, (16,), peer="LunarLander-v3"),
    "atari, breakout": World("atari", {"id": "breakout"}, 4_000, (8,), peer="AtariVectorEnv"),
    "memory_maze, 9 x 9": World("memory_maze", {}, 1_000, (1,), peer="memory_maze"),
}  # fmt: skip


def rate(steps: int, act: Callable[[], object]) -> Rate:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return {"wall": steps / (time.perf_counter() - wall), "cpu": steps / (time.process_time() - cpu)}


class Library:
    """An environment of gymnax or Craftax, with its own autoreset, as `runner` wants it."""

    def __init__(self, env: Any, params: Any, action_space: Any):
        self.env, self.params, self.action_space = env, params, action_space

    def reset(self, key: Any) -> tuple[Any, Any]:
        import jax
        import jax.numpy as jnp

        state = self.env.reset(key, self.params)[1]
        told = jax.eval_shape(self.step, key, state, jnp.int32(0))[1]
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), told)

    def step(self, key: Any, state: Any, action: Any) -> tuple[Any, Any]:
        obs, state, *told = self.env.step(key, state, action, self.params)
        return state, (obs, *told)


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


def in_program(world: World, streams: int) -> list[Callable[[], Rate]]:
    """Ours and, if it is of a library in JAX, the library's own."""
    import romanesco as rm

    env = rm.make(world.name, **world.options)
    steps = int(world.steps * (0.05 if streams == 1 else 1))
    played = [runner(env, streams, steps)]
    if world.peer == "craftax":
        from craftax.craftax_env import make_craftax_env_from_name

        theirs = make_craftax_env_from_name("Craftax-Symbolic-v1", auto_reset=True)
        # it makes a world for every step: a tenth of the steps is enough
        played.append(runner(Library(theirs, theirs.default_params, env.action_space), streams, steps // 10))
    elif world.peer and world.peer.startswith("gymnax:"):
        import gymnax

        theirs = Library(*gymnax.make(world.peer.partition(":")[2]), env.action_space)
        played.append(runner(theirs, streams, steps))
    return [functools.partial(rate, done, run) for run, done in played]


def on_host(world: World, streams: int) -> list[Callable[[], Rate]]:
    """Ours, and the library's vector environment as it is, under the same actions."""
    import gymnasium
    import jax
    import numpy as np

    import romanesco as rm

    ours, keys = rm.make(world.name, num_envs=streams, **world.options), jax.random.split(jax.random.key(0), streams)
    if world.peer == "AtariVectorEnv":
        from ale_py import AtariVectorEnv

        told = {"noop_max": 0, "use_fire_reset": False, "reward_clipping": False, "repeat_action_probability": 0.25}
        theirs = AtariVectorEnv(world.options["id"], streams, **told)
    else:
        make = functools.partial(gymnasium.make, world.peer, disable_env_checker=True)
        theirs = gymnasium.vector.SyncVectorEnv([make] * streams)
    ours.reset(keys), theirs.reset(seed=0)
    n = world.steps // streams
    actions = np.random.default_rng(0).integers(0, ours.action_space.n, (n, streams))
    plays = (lambda a: ours.step(keys, a), theirs.step)
    return [functools.partial(rate, n * streams, lambda play=play: [play(a) for a in actions]) for play in plays]


def maze(stock: bool) -> Rate:
    """A whole episode of Memory Maze, and a reset; only where nothing of it was made fast before can it be `stock`."""
    import numpy as np

    from romanesco.envs.memory_maze import MemoryMaze

    env = MemoryMaze(9, stock=stock)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 6, 1000)
    told = rate(1000, lambda: [env.step(action) for action in actions] + [env.reset()])
    env.close()
    return told


def memory_gym(variant: str) -> Rate:
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

    def play() -> None:
        for action in actions:
            if env.step(action[0] if variant == "grid" else action)[2]:
                env.reset(options=easy)

    return rate(PEER_STEPS, play)


PEERS: dict[str, Callable[[], Rate]] = {  # in processes of their own
    "grid": functools.partial(memory_gym, "grid"),
    "continuous": functools.partial(memory_gym, "continuous"),
    "memory_maze": functools.partial(maze, True),
}


def measures(world: World, streams: int, python: str) -> list[Callable[[], Rate]]:
    """What measures ours, and what measures the other."""

    def apart() -> Rate:
        runs = python if world.peer in ("grid", "continuous") else sys.executable
        done = subprocess.run([runs, __file__, "--peer", world.peer], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    if world.name == "memory_maze":
        return [functools.partial(maze, False), apart]
    if world.name in ("lander", "atari"):
        return on_host(world, streams)
    return in_program(world, streams) + [apart] * (world.peer in PEERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has memory-gym")
    parser.add_argument("--peer", choices=PEERS, help="measure this one once, as JSON")
    parser.add_argument("--only", choices=WORLDS, action="append", help="one of them; again for another")
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(PEERS[args.peer]()))
        return
    from record import row, write

    for label in args.only or WORLDS:
        for streams in WORLDS[label].streams:
            both = measures(WORLDS[label], streams, args.peer_python)
            pairs = [[measure() for measure in both] for _ in range(args.repeats)]
            figures = {
                "steps/CPU-s": [ours["cpu"] for ours, *_ in pairs],
                "steps/s": [ours["wall"] for ours, *_ in pairs],
            }
            if len(both) == 2:
                figures["library's steps/CPU-s"] = [theirs["cpu"] for _, theirs in pairs]
                figures["ratio"] = [ours["cpu"] / theirs["cpu"] for ours, theirs in pairs]
            rows = [row(f"{label}, N {streams}", COMMAND, metric, values) for metric, values in figures.items()]
            write("envs", rows, replace=False)


if __name__ == "__main__":
    main()
