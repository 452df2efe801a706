"""Whether families of worlds work here: each is made, reset, stepped and drawn in a process of its own.

The child is `python -m romanesco.lab.families FAMILY`; its last line is what it found, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from romanesco.core.errors import BadInput, among

LIMIT = 300.0  # seconds; Craftax compiles for a minute, and processes its textures for another, once


class Family(NamedTuple):
    """A world that stands for its family, and the extra that installs what it needs."""

    env: str
    modules: tuple[str, ...]
    extra: str = ""
    settings: tuple[str, ...] = ()


FAMILIES = {
    "tmaze": Family("tmaze", ()),
    "classic": Family("cartpole", ("gymnax",)),
    "gymnax": Family("gymnax:Catch-bsuite", ("gymnax",)),
    "gymnasium": Family("gymnasium:CartPole-v1", ("gymnasium",)),
    "lander": Family("lander", ("Box2D", "pygame"), "box2d"),
    "atari": Family("atari/breakout", ("ale_py", "cv2"), "atari"),
    "memory_maze": Family("memory_maze", ("memory_maze", "dm_control", "mujoco"), "memory-maze"),
    "craftax": Family("craftax", ("craftax", "pygame"), "craftax", ("env.variant=classic",)),
    "navix": Family("navix:Navix-Empty-8x8-v0", ("navix",), "jax-envs"),
    "xminigrid": Family("xminigrid:MiniGrid-Empty-8x8", ("xminigrid",), "jax-envs"),
    "brax": Family("brax:inverted_pendulum", ("brax",), "jax-envs"),
    "jumanji": Family("jumanji:Snake-v1", ("jumanji",), "jax-envs"),
}


def chosen(said: str | None) -> list[str]:
    """The families of a text such as `craftax,atari`; all without one."""
    names = [name.strip() for name in said.split(",")] if said else list(FAMILIES)
    for name in names:
        if name not in FAMILIES:
            raise BadInput(f"--envs {name}{among(name, FAMILIES)}")
    return names


def examine(name: str, limit: float = LIMIT) -> dict[str, Any]:
    """One finding: ok, missing or broken, with versions, the remedy or the reason, and seconds."""
    family, began = FAMILIES[name], time.monotonic()

    def finding(state: str, what: str) -> dict[str, Any]:
        return {"part": name, "state": state, "what": what, "seconds": round(time.monotonic() - began, 1)}

    if any(importlib.util.find_spec(module) is None for module in family.modules):
        return finding("missing", f'pip install -e ".[{family.extra}]"' if family.extra else "pip install -e .")
    if wrong := _foreign(family.extra):
        return finding("broken", f'{wrong}; pip install -c constraints/py311.txt -e ".[{family.extra}]"')
    command = [sys.executable, "-m", __name__, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return finding("broken", f"no answer within {limit:g} s; try again when the machine is idle")
    with contextlib.suppress(IndexError, ValueError, KeyError):
        told = json.loads(done.stdout.splitlines()[-1])
        return finding(told["state"], told["what"])
    said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return finding("broken", f"its process ended with status {done.returncode}: {said}")


def _installed(extra: str) -> dict[Any, str]:
    """The requirements of an extra of ours that are installed -> their versions."""
    from packaging.requirements import Requirement

    found = {}
    for one in map(Requirement, importlib.metadata.requires("romanesco") or []):
        if extra and one.marker and one.marker.evaluate({"extra": extra}):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[one] = importlib.metadata.version(one.name)
    return found


def _foreign(extra: str) -> str:
    """The packages of an extra whose versions are not those that were tried, or an empty text."""
    return ", ".join(f"{r.name} {v}, not {r.specifier}" for r, v in _installed(extra).items() if v not in r.specifier)


def look(name: str) -> str:
    """Makes, resets, steps and draws the family's world -> what was seen, in words."""
    import jax
    import numpy as np

    from romanesco.envs.world import World
    from romanesco.lab.build import environment
    from romanesco.lab.compose import resolve

    family = FAMILIES[name]
    (config,) = resolve(None, [f"env={family.env}", *family.settings])
    env: Any = environment(config.env, render=True)
    times, key = [("", time.monotonic())], jax.random.key(0)

    def done(what: str, seen: Any) -> Any:
        jax.block_until_ready(seen)
        times.append((what, time.monotonic()))
        return seen

    space: Any = env.action_space
    if isinstance(env, World):
        stream: Any = env.streams(1)
        done("reset", stream.reset(key[None]))
        done("step", stream.step(key[None], np.zeros((1, *space.shape), space.dtype)))
        draw = stream.render
    else:
        state, _ = done("reset", jax.jit(lambda env: env.reset(key))(env))
        action = np.zeros(space.shape, space.dtype)
        state, _ = done("step", jax.jit(lambda env, state: env.step(key, state, action))(env, state))
        draw = lambda: env.render(state)
    try:
        picture = "x".join(map(str, done("picture", draw()).shape[:2]))
    except BadInput as error:
        picture = f"none ({error})"
    spent = ", ".join(f"{what} {t - before:.1f} s" for (_, before), (what, t) in itertools.pairwise(times))
    packages = [f"{r.name} {version}" for r, version in _installed(family.extra).items()]
    return "; ".join([*packages, spent, f"picture {picture}", *_remarks(name)])


def _remarks(name: str) -> Sequence[str]:
    """What a user should know of a family that works."""
    if name != "craftax":
        return ()
    spec = importlib.util.find_spec("craftax")
    assert spec is not None and spec.origin is not None
    caches = list(Path(spec.origin).parent.rglob("texture_cache*"))
    return () if caches else (f"{Path(spec.origin).parent} cannot be written: textures are processed at every start",)


def main(name: str) -> None:
    try:
        found = {"state": "ok", "what": look(name)}
    except BadInput as error:
        found = {"state": "broken", "what": str(error)}
    except Exception as error:
        found = {"state": "broken", "what": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
