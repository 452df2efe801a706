"""A run folder becomes a policy again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from romanesco.agent.normalize import Normalized
from romanesco.core.errors import BadInput
from romanesco.core.spaces import from_json
from romanesco.core.types import Env
from romanesco.envs.world import World
from romanesco.lab import files, store
from romanesco.lab.build import Objects
from romanesco.lab.config import Config
from romanesco.lab.run import numerics, programs_of, world_of


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The trained agents of a run, by seed, and the world they were trained in."""

    config: Config
    env: Env | World
    actors: dict[int, Normalized]
    notes: tuple[str, ...]


def needed_objects(path: Path, config: Config, objects: Objects) -> None:
    """Raises where a run was made with an object that is not given now."""
    for name in ("env", "memory", "encoder"):
        if getattr(config, name).name == "object" and getattr(objects, name) is None:
            raise BadInput(f"{path} was made with an object as {name}; load it in Python: rm.load(path, {name}=...)")


def config_of(path: Path) -> Config:
    return files.from_yaml((path / store.CONFIG).read_text(encoding="utf-8-sig"), str(path / store.CONFIG))


def load_run(
    path: Path, *, checkpoint: str | int = "latest", objects: Objects = Objects(), env_group: Any = None
) -> Loaded:  # fmt: skip
    """Every seed's agent from `checkpoint` ("latest", "best" or a step); reads only. `env_group` replaces the world.

    Raises `BadInput` where nothing sound was saved, or the agent does not fit the world.
    """
    config = config_of(path)
    needed_objects(path, config, dataclasses.replace(objects, env=objects.env or _shown(path, config)))
    with numerics(config):
        env = _shown(path, config) if objects.env is None else None
        env = env or world_of(config, objects)
        programs = programs_of(config, env, objects, jax.devices()[:1])
        programs.close()
        if env_group is not None:
            new = world_of(dataclasses.replace(config, env=env_group), objects)
            if (env.observation_space, env.action_space) != (new.observation_space, new.action_space):
                raise BadInput(f"{path}: the changed environment has other spaces than the agent was trained with")
            env = new
        actors, notes = _actors(path, programs.like, checkpoint)
    return Loaded(config, env, actors, tuple(notes))


def _shown(path: Path, config: Config) -> World | None:
    """The spaces of a world that came as an object, as the run noted them: enough for a policy."""
    about = store.RunFolder(path).read_json("model.json") or {}
    if config.env.name != "object" or "observation_space" not in about:
        return None
    seen, done = from_json(about["observation_space"]), from_json(about["action_space"])
    return World.shown(seen, done, f"{path} was made with an env object: to play there, give it again as env=...")


def _groups(path: Path) -> Sequence[dict[str, Any]]:
    known = store.RunFolder(path).read_json("groups.json")
    if known is None:
        raise BadInput(f"{path}: no checkpoint was saved yet")
    return known["groups"]


def _actors(path: Path, like: Any, checkpoint: str | int) -> tuple[dict[int, Normalized], list[str]]:
    actors: dict[int, Normalized] = {}
    notes: list[str] = []
    for group in _groups(path):
        if group["name"] is not None and not store.steps(path, group=group["name"]):
            continue  # a further group that has not saved yet
        one = like.learner.actor if checkpoint == "best" else like
        trees, _, _, said = store.restore(
            path, [one] * len(group["seeds"]), checkpoint=checkpoint, mark=False, group=group["name"]
        )
        notes += said
        found = trees if checkpoint == "best" else [state.learner.actor for state in trees]
        actors |= dict(zip(group["seeds"], found, strict=True))
    return actors, notes
