"""A configuration becomes a run folder, and a run folder goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from romanesco.core.errors import BadInput
from romanesco.core.spaces import to_json
from romanesco.core.types import Env
from romanesco.envs.world import World
from romanesco.lab import files, initial, panel, store
from romanesco.lab.build import Objects, environment, given_environment
from romanesco.lab.config import Config
from romanesco.lab.devices import devices_for, numerics
from romanesco.lab.guard import Stop
from romanesco.lab.host import HostPrograms
from romanesco.lab.lock import Lock
from romanesco.lab.loop import Hooks, Loop
from romanesco.lab.programs import Programs
from romanesco.lab.store import RunFolder


def world_of(config: Config, objects: Objects, num_envs: int = 1) -> Env | World:
    """The world that a configuration or an object names; on the host its first `num_envs` streams are made now."""
    if objects.env is None:
        return environment(config.env, num_envs)
    return given_environment(objects.env, config.env, num_envs)


def programs_of(config: Config, env: Env | World, objects: Objects, devices: Sequence[Any]) -> Programs | HostPrograms:
    """The programs of a run in this world."""
    if isinstance(env, World):
        return HostPrograms(config, env, objects, devices)
    return Programs(config, env, objects, devices)


def start(
    config: Config, *, hooks: Hooks, objects: Objects = Objects(), argv: Sequence[str] = (), view: Any = None
) -> Path:  # fmt: skip
    """Trains from the beginning -> the new run folder. Raises `BadInput`, `RunFailed`, `Interrupted`."""
    make = lambda: store.new_folder(config.root, *names(config, objects), config.name)
    return _begin(make, config, hooks=hooks, objects=objects, argv=argv, view=view)


def start_in(path: Path, config: Config, *, hooks: Hooks) -> Path:
    """Trains from the beginning in a folder that is this process's own; what a start that never saved left is lost."""
    for log in ("metrics.jsonl", "evals.jsonl"):
        (path / log).unlink(missing_ok=True)
    return _begin(lambda: path, config, hooks=hooks, objects=Objects(), argv=(), view=None)


def _begin(
    make: Callable[[], Path], config: Config, *, hooks: Hooks, objects: Objects, argv: Sequence[str], view: Any
) -> Path:  # fmt: skip
    with numerics(config):
        devices = devices_for(config, seeds=config.seeds)
        programs = programs_of(config, world_of(config, objects, config.num_envs), objects, devices)
        seeds = list(range(config.seed, config.seed + config.seeds))
        config, source = initial.settle(config, programs.like.learner.actor)
        path = make()
        folder = RunFolder(path)
        with Lock(path, say=_say(view)), Stop(path) as stop:
            folder.write_text(store.CONFIG, files.to_yaml(config))
            folder.write_json("model.json", describe(programs))
            folder.record(argv, device=str(devices[0].device_kind), git_diff=config.log.git_diff)
            if source is not None:
                folder.write_json(initial.RECORD, source.record(seeds))
            Loop(programs, folder, [(None, seeds)], hooks, view, stop, source).run(resumed=False)
    return path


def resume(
    path: Path, config: Config, *, hooks: Hooks, objects: Objects = Objects(), argv: Sequence[str] = (),
    view: Any = None, strict: bool = False,
) -> Path:  # fmt: skip
    """Goes on with a run, bit for bit; seeds that `config` has more become a further group of the same folder."""
    folder = RunFolder(path)
    known = folder.read_json("groups.json")
    if known is None:
        raise BadInput(f"{path}: no checkpoint was saved yet, so there is nothing to resume; train again")
    groups = [(group["name"], group["seeds"]) for group in known["groups"]]
    missing = sorted(set(range(config.seed, config.seed + config.seeds)) - {s for _, seeds in groups for s in seeds})
    with numerics(config):
        devices = devices_for(config, seeds=max(len(seeds) for _, seeds in [*groups, (None, missing)]))
        programs = programs_of(config, world_of(config, objects, config.num_envs), objects, devices)
        with Lock(path, say=_say(view)), Stop(path) as stop:
            groups += [(f"g{len(groups)}", missing)] if missing else []
            fresh = [seed for name, seeds in groups if not store.steps(path, group=name) for seed in seeds]
            source = initial.again(config, folder, fresh)
            loop = Loop(programs, folder, groups, hooks, view, stop, source)
            loop.take_up(strict=strict)
            folder.write_text(store.CONFIG, files.to_yaml(config))
            if source is not None:
                folder.write_json(initial.RECORD, source.record([s for _, seeds in groups for s in seeds]))
            loop.run(resumed=True)
    return path


def _say(view: Any) -> Callable[[str], None]:
    return (view or panel.Lines()).say


def names(config: Config, objects: Objects) -> tuple[str, str]:
    """Task and agent, as run folders are sorted by."""
    if config.preset and "/" in config.preset and objects.env is None:
        return tuple(config.preset.split("/", 1))  # type: ignore[return-value]
    memory = "own" if objects.memory is not None else config.memory.name
    if config.preset and objects.env is None:
        return config.preset, memory
    if objects.env is None:
        return getattr(config.env, "id", config.env.name), memory
    return getattr(objects.env, "__name__", type(objects.env).__name__).lower(), memory


def describe(programs: Programs | HostPrograms) -> dict[str, Any]:
    """model.json: the agent's arrays, its parameters, what its memory carries, and the spaces it lives in."""
    agent = programs.like.learner.agent
    leaves = jax.tree_util.tree_leaves_with_path(agent)
    arrays = {jax.tree_util.keystr(path).lstrip("."): list(x.shape) for path, x in leaves}
    carry = jax.tree.leaves(jax.eval_shape(lambda agent: agent.init_carry(), agent))
    return {
        "version": 1,
        "parameters": sum(x.size for _, x in leaves),
        "carry": sum(x.size for x in carry),
        "arrays": arrays,
        "observation_space": to_json(programs.setup.env.observation_space),
        "action_space": to_json(programs.setup.env.action_space),
    }
