"""The runs that stand beside a memory's: on the fully observed twin of its world, with it and without it."""

from __future__ import annotations

import dataclasses

from romanesco.core.errors import BadInput
from romanesco.lab.config import Config
from romanesco.lab.memories import NoMemory
from romanesco.lab.sizes import settle


def on_twin(config: Config, name: str) -> Config:
    """The same agent, seeds and budget in the twin of its world; the run is called `name`-twin."""
    if config.env.twin:
        raise BadInput(f"{name}: is a run on the twin itself; give the run on the task")
    return _settled(dataclasses.replace(config, env=dataclasses.replace(config.env, twin=True)), f"{name}-twin")


def without_memory(config: Config, name: str) -> Config:
    """The agent on the twin, without its memory; `name`-twin-none."""
    return _settled(dataclasses.replace(on_twin(config, name), memory=NoMemory()), f"{name}-twin-none")


def _settled(config: Config, name: str) -> Config:
    config = dataclasses.replace(config, name=name)
    return settle(config, seeds_said=True, updates_said=False, both_said=False)
