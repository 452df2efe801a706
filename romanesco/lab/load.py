"""A run, or an export, becomes policies again."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from romanesco.agent.normalize import Normalized
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Space, from_json, to_json
from romanesco.core.types import Env
from romanesco.envs.world import World
from romanesco.lab import exported, files, store, weights
from romanesco.lab.build import Objects, agent_maker, setup
from romanesco.lab.config import Config
from romanesco.lab.devices import numerics
from romanesco.lab.run import world_of
from romanesco.learn import train

OBJECTS = ("memory", "encoder")  # without which a policy made with them cannot be


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Trained agents by seed, their spaces, and the world they were trained in, which is made when it is asked for."""

    path: Path
    config: Config  # of which `env` is left open: a policy needs no world
    spaces: tuple[Space, Space]  # observations, actions
    actors: dict[int, Normalized]
    steps: dict[int, int | None]  # of each seed: where in training its parameters are from
    notes: tuple[str, ...] = ()
    selected: str | None = None  # how an export's seed was chosen
    objects: Objects = Objects()
    changed: Any = None  # another environment group than the saved one

    @functools.cached_property
    def env_group(self) -> Any:
        """The environment's settings, those of the run unless they were changed."""
        return config_of(self.path).env if self.changed is None else self.changed

    @functools.cached_property
    def env(self) -> Env | World:
        """The world. Raises `BadInput` where it has other spaces than the agents, or came as an object."""
        if self.env_group.name == "object" and self.objects.env is None:
            raise BadInput(f"{self.path} was made with an object as env: to play there, give it again as env=...")
        with numerics(self.config):
            env = world_of(dataclasses.replace(self.config, env=self.env_group), self.objects)
        if _written((env.observation_space, env.action_space)) != _written(self.spaces):
            raise BadInput(f"{self.path}: the changed environment has other spaces than the agent was trained with")
        return env

    def choose(self, seed: int | str | None) -> tuple[int, str | None]:
        """The seed that is meant, and how it was selected: None stands for the first, "best" for `best_seed`."""
        return choose(self.path, self.steps, seed, self.selected)


def choose(
    path: Path, steps: Mapping[int, int | None], seed: int | str | None, selected: str | None = None
) -> tuple[int, str | None]:
    """Of the seeds in `steps` the one that is meant, and how it was selected, None where it was not."""
    if seed == "best" and len(steps) > 1:
        return best_seed(path, steps)
    if seed is None or seed == "best":
        return next(iter(steps)), selected
    if seed not in steps:
        known = ", ".join(map(str, steps))
        raise BadInput(f'seed={seed}: {path} has seed{"s" * (len(steps) > 1)} {known}; give one, or "best"')
    return int(seed), selected


def needed_objects(path: Path, config: Config, objects: Objects, names: tuple[str, ...] = ("env", *OBJECTS)) -> None:
    """Raises where a run was made with an object that is not given now."""
    for name in names:
        if getattr(config, name).name == "object" and getattr(objects, name) is None:
            raise BadInput(f"{path} was made with an object as {name}; load it in Python: rm.load(path, {name}=...)")


def _saved(path: Path) -> tuple[dict[str, Any], str]:
    """The configuration of a run or an export as plain data, and the file it is from."""
    if store.is_export(path):
        return exported.read_about(path).config, str(path / store.ABOUT)
    where = path / store.CONFIG
    return files.parse(where.read_text(encoding="utf-8-sig"), str(where)), str(where)


def config_of(path: Path) -> Config:
    """The whole configuration; raises `BadInput` where an export would have a module imported for its world."""
    data, where = _saved(path)
    name = str((data.get("env") or {}).get("name", ""))
    if store.is_export(path) and name.count(":") > 1:
        raise BadInput(f"{where}: the world {name} names a module, which an export may not have imported; "
                       "its policy loads without: rm.load(path)")  # fmt: skip
    return files.from_dict(data, where)


def policy_config(path: Path) -> Config:
    """The configuration with the environment left open, so that no library of environments is imported."""
    data, where = _saved(path)
    return files.from_dict({**data, "env": {"name": "object"}}, where)


def load_agents(
    path: Path, *, checkpoint: str | int = "latest", objects: Objects = Objects(), env_group: Any = None
) -> Loaded:  # fmt: skip
    """Every seed's agent of a run in `checkpoint` ("latest", "best" or a step), or that of an export; reads only.

    `env_group` replaces the world. Raises `BadInput` where nothing sound was saved, or the arrays do not fit.
    """
    config = policy_config(path)
    needed_objects(path, config, objects, OBJECTS)
    if store.is_export(path):
        if checkpoint != "latest":
            raise BadInput(f"checkpoint={checkpoint}: {path} is an export, which holds one; choose it when exporting")
        about, one = exported.read(path)
        found, notes, selected = {about.seed: one}, [], about.selected
        spaces = _spaces(dataclasses.asdict(about), path / store.ABOUT)
    else:
        found, notes = weights.of_run(path, checkpoint)
        selected, spaces = None, spaces_of(path)
    with numerics(config):
        like = shapes(config, spaces, objects)
        for seed, one in found.items():
            if wrong := weights.unfit(one.arrays, like):
                raise BadInput(f"{path}, seed {seed}: the saved agent has another structure: {'; '.join(wrong)}")
        actors = {seed: weights.fill(one.arrays, like) for seed, one in found.items()}
    steps = {seed: one.step for seed, one in found.items()}
    return Loaded(path, config, spaces, actors, steps, tuple(notes), selected, objects, env_group)


def shapes(config: Config, spaces: tuple[Space, Space], objects: Objects) -> Normalized:
    """The shapes and types of an agent of this configuration, and of its normalizer."""
    world = World.shown(*spaces, "a policy has no world")
    plain = dataclasses.replace(config, curriculum="none")  # which is of worlds, not of agents
    make, told = agent_maker(config, world, objects), setup(plain, world, objects)
    return jax.eval_shape(lambda key: train.init_learner(key, make, told).actor, jax.random.key(0))


def _spaces(about: Mapping[str, Any], where: Path) -> tuple[Space, Space]:
    try:
        return from_json(about["observation_space"]), from_json(about["action_space"])
    except KeyError:
        raise BadInput(f"{where}: holds no spaces, as an older romanesco left it; train again") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{where}: its spaces cannot be read: {error}") from None


def _written(spaces: tuple[Space, Space]) -> list[Any]:
    """Spaces as files hold them, in which the bounds of doubles are rounded."""
    return [store.plain(to_json(space)) for space in spaces]


def spaces_of(path: Path) -> tuple[Space, Space]:
    """The spaces in which a run's agents live, as the run noted them."""
    return _spaces(store.RunFolder(path).read_json("model.json") or {}, path / "model.json")


def evaluations(path: Path) -> dict[int, list[tuple[int, float]]]:
    """Step and mean return of every evaluation of a run, by seed."""
    curves: dict[int, list[tuple[int, float]]] = {}
    log = path / "evals.jsonl"
    for line in log.read_bytes().splitlines() if log.is_file() else ():
        try:
            row = json.loads(line)
            point = int(row["step"]), sum(row["return"]) / len(row["return"])
            curves.setdefault(int(row["seed"]), []).append(point)
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            continue  # a torn line, or episodes without a return
    return curves


def best_seed(path: Path, steps: Mapping[int, int | None]) -> tuple[int, str]:
    """The seed whose evaluation at its step in `steps`, or last before it, was best; and that in a sentence."""
    curves, last = evaluations(path), {}
    for seed, until in steps.items():
        points = [point for point in curves.get(seed, []) if until is None or point[0] <= until]
        if points:
            last[seed] = points[-1]
    if not last:
        raise BadInput(f'seed="best": {path} has no evaluation to choose by; name a seed')
    seed = max(last, key=lambda seed: last[seed][1])
    step, score = last[seed]
    return seed, f"the best of {len(steps)} seeds by its evaluation at step {step:,}: return {score:.4g}"
