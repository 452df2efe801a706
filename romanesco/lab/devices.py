"""Where a run computes, and how precisely."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import jax

from romanesco.core.errors import BadInput
from romanesco.core.precision import MATMULS
from romanesco.lab.config import Config


def devices_for(config: Config, *, seeds: int) -> list[Any]:
    """The devices of a run, one for each seed that goes at a time: of a CPU the same one as often as that.

    `auto`: one accelerator; of a CPU as often as there are cores for several seeds, else once.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    platform = {"auto": None, "cpu": "cpu", "gpu": "gpu"}[config.device]
    try:
        found = jax.devices(platform)
    except RuntimeError as error:
        have = ", ".join(sorted({d.platform for d in jax.devices()}))
        remedy = 'pip install -e ".[cuda]", or device=cpu'
        raise BadInput(f"device={config.device}: JAX finds no such device, only {have}; {remedy}") from error
    cpu = found[0].platform == "cpu"
    words: dict[int | str, int] = {"auto": min(cores, seeds) if cpu else 1, "all": cores if cpu else len(found)}
    wanted = int(words.get(config.devices, config.devices))
    if cpu:
        return found[:1] * wanted
    if wanted > len(found):
        raise BadInput(f"devices={config.devices}: JAX has {len(found)} {found[0].platform} device(s)")
    return found[:wanted]


@contextlib.contextmanager
def numerics(config: Config):
    """Single precision and the asked matrix products, whatever the process is set to; nothing global changes."""
    with jax.enable_x64(False), jax.default_matmul_precision(MATMULS[config.precision]):
        yield
