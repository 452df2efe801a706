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
    """The devices of a run, chosen before anything else touches JAX; the number of CPU devices where it is still open.

    `auto`: one accelerator; of a CPU as many devices as cores for several seeds, else one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = cores if config.devices == "all" else config.devices
    wanted = min(cores, seeds) if asked == "auto" else int(asked)
    if config.device == "cpu" or os.environ.get("JAX_PLATFORMS", "cpu") == "cpu":
        with contextlib.suppress(RuntimeError):  # a backend that runs already keeps its devices
            jax.config.update("jax_num_cpu_devices", max(wanted, 1))
    platform = {"auto": None, "cpu": "cpu", "gpu": "gpu"}[config.device]
    try:
        found = jax.devices(platform)
    except RuntimeError as error:
        have = ", ".join(sorted({d.platform for d in jax.devices()}))
        remedy = 'pip install -e ".[cuda]", or device=cpu'
        raise BadInput(f"device={config.device}: JAX finds no such device, only {have}; {remedy}") from error
    if found[0].platform != "cpu":
        wanted = 1 if asked == "auto" else int(asked)
    if asked != "auto" and wanted > len(found):
        raise BadInput(f"devices={config.devices}: JAX has {len(found)} {found[0].platform} device(s)")
    return found[:wanted]


@contextlib.contextmanager
def numerics(config: Config):
    """Single precision and the asked matrix products, whatever the process is set to; nothing global changes."""
    with jax.enable_x64(False), jax.default_matmul_precision(MATMULS[config.precision]):
        yield
