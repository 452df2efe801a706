"""What works here, what is missing, and the remedy."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = {"jax": True, "equinox": True, "optax": True, "hydra-core": True, "safetensors": True, "gymnax": True,
         "gymnasium": True, "tensorboard": True, "matplotlib": True}  # fmt: skip
EXTRAS = {
    "render": ("pygame",),
    "box2d": ("Box2D", "pygame"),
    "atari": ("ale_py", "cv2"),
    "memory-maze": ("memory_maze", "dm_control", "mujoco"),
    "craftax": ("craftax", "pygame"),
    "jax-envs": ("navix", "jumanji", "xminigrid", "brax"),
    "docs": ("sphinx", "myst_parser"),
    "dev": ("pytest", "ruff"),
}


def finding(part: str, state: str, what: str, *, core: bool = False) -> dict[str, Any]:
    return {"part": part, "state": state, "what": what, "core": core}


def examine() -> list[dict[str, Any]]:
    """One finding a part: ok, missing or broken, with versions or the remedy. Takes a few seconds."""
    rows = [finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    rows += [_package(name) for name in PARTS]
    rows += [_extra(name, modules) for name, modules in EXTRAS.items()]
    rows += [_try("devices", _devices), _try("compile cache", _cache), _try("disk", _disk)]
    return [*rows, _try("self-test", _self_test)]


def _package(name: str) -> dict[str, Any]:
    try:
        return finding(name, "ok", importlib.metadata.version(name), core=True)
    except importlib.metadata.PackageNotFoundError:
        return finding(name, "broken", "not installed; pip install -e .", core=True)


def _extra(name: str, modules: tuple[str, ...]) -> dict[str, Any]:
    lost = [m for m in modules if importlib.util.find_spec(m) is None]
    if lost:
        return finding(f"extra {name}", "missing", f'pip install -e ".[{name}]"')
    return finding(f"extra {name}", "ok", ", ".join(modules))


def _try(part: str, test: Callable[[], str]) -> dict[str, Any]:
    try:
        return finding(part, "ok", test(), core=True)
    except Exception as error:
        return finding(part, "broken", f"{type(error).__name__}: {error}", core=True)


def _devices() -> str:
    import jax

    kinds = [f"{d.platform} {d.device_kind}" for d in jax.devices()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{', '.join(kinds)}; {cores} cores"


def _cache() -> str:
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        return "off: no folder that only you can write"
    files = [p for p in Path(folder).rglob("*") if p.is_file()] if Path(folder).is_dir() else []
    return f"{folder}, {sum(p.stat().st_size for p in files) / 2**20:.0f} MiB"


def _disk() -> str:
    free = shutil.disk_usage(".").free / 2**30
    with tempfile.TemporaryFile(dir="."):
        return f"{free:.1f} GiB free here"


def _self_test() -> str:
    """A probe environment, trained for a moment: it must learn that its only reward is 1."""
    import jax

    from romanesco.lab.build import Objects, agent_maker, environment, setup
    from romanesco.lab.compose import resolve
    from romanesco.learn.train import train

    began = time.monotonic()
    small = ["env=probe1", "encoder.width=8", "agent.actor_hidden=[]", "agent.critic_hidden=[]", "num_envs=8"]
    config = resolve(None, [*small, "algorithm.horizon=8", "algorithm.learning_rate=0.01", "total_steps=6400"])[0]
    with jax.enable_x64(False):
        env = environment(config.env)
        told = setup(config, env, Objects())
        make = agent_maker(config, env, Objects())
        _, rows = jax.jit(lambda key, told: train(key, make, told, config.num_updates))(jax.random.key(0), told)
    error = float(rows["train/value_loss"][-1])
    if not error < 0.05:
        raise RuntimeError(f"value error {error:.3f} after {config.num_updates} updates, should be near 0")
    return f"learned probe1 in {time.monotonic() - began:.1f} s, compile included"
