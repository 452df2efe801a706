"""A preset, a file and a command line -> configurations; saved ones and what a resumed run changes in them.

Precedence: dataclass defaults < preset < file < command line. Needs no JAX; Hydra is imported when something is merged.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.lab import files, sizes
from romanesco.lab.config import Config, build, schema
from romanesco.lab.fields import show
from romanesco.lab.layers import COMMAND, Layer, check, from_mapping, stack, unknown
from romanesco.lab.merge import merge
from romanesco.lab.options import GROUPS
from romanesco.lab.spelling import MOST_POINTS, Said, quoted, values, words

MAY_CHANGE = ("total_steps", "seeds", "devices", "jobs", "log.", "eval.", "checkpoint.", "run.")


def resolve(
    preset: str | None = None,
    overrides: Sequence[str] = (),
    *,
    fields: Mapping[str, Any] | None = None,
    config_file: Any = None,
    objects: frozenset[str] = frozenset(),
) -> list[Config]:
    """The configurations of one command: one, or the product of its sweeps, the last one varying fastest.

    `preset` may be several, parted by commas. `fields` are Python values by key, after the overrides. `objects` names
    the groups whose place an object takes. What a user should know of a configuration is in its `notes`.
    """
    command = " ".join(
        ["romanesco train", *([preset] if preset else []), *(["--config", str(config_file)] if config_file else [])]
    )
    said = {key: values(key, text) for key, text in dict(words(overrides, command)).items()}
    said |= {key: [Said(value)] for key, value in (fields or {}).items()}
    said.setdefault("preset", [Said(name) for name in preset.split(",")] if preset else [Said(None)])
    if math.prod(map(len, said.values())) > MOST_POINTS:
        raise BadInput(
            f"a sweep of more than {MOST_POINTS:,} runs: {', '.join(k for k, v in said.items() if len(v) > 1)}"
        )
    data = files.read(config_file) if config_file else {}
    points = (dict(zip(said, point, strict=True)) for point in itertools.product(*said.values()))
    return [_point(point, data, str(config_file), objects) for point in points]


def _point(said: dict[str, Said], data: Mapping[str, Any], source: str, objects: frozenset[str]) -> Config:
    """One point of a sweep."""
    base = said.pop("preset").value or data.get("preset")
    layers = [preset_layer(base)] if base else []
    layers += [from_mapping(data, source), from_mapping(said, COMMAND)]
    choices, notes = stack(layers, objects)
    if "env" not in choices:
        raise BadInput(f"env is missing: name a preset ({', '.join(files.presets())}) or give env=NAME")
    leaves = schema(choices)
    checked = [check(layer, leaves, choices) for layer in layers]
    checked[-1]["preset"] = leaves["preset"].convert(base)
    config = build(choices, merge(choices, checked))
    adapt = bool(base) and layers[0].choices.get("memory") is not choices["memory"]
    adapt = adapt and not any("algorithm.minibatches" in layer for layer in checked[1:])
    config = sizes.settle(
        config, seeds_said=any("seeds" in layer for layer in checked), adapt=adapt, **_budget_said(checked)
    )
    config.notes = (*notes, *config.notes)  # type: ignore[misc]
    return config


def preset_layer(name: Any) -> Layer:
    """What a preset says; an unknown one raises `BadInput` with the nearest."""
    if not isinstance(name, str):
        raise BadInput(f"preset={show(name)}: give a name, one of {', '.join(files.presets())}")
    data = {k: v for k, v in files.preset(name).items() if k != "summary"}
    return from_mapping(data, f"preset {name}")


def _budget_said(layers: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Which of `updates` and `total_steps` has the last word, and whether one source says both."""
    last = {key: max((i for i, layer in enumerate(layers) if layer.get(key) is not None), default=-1)
            for key in ("updates", "total_steps")}  # fmt: skip
    updates = last["updates"] >= max(last["total_steps"], 0)
    return {"updates_said": updates, "both_said": updates and last["updates"] == last["total_steps"]}


def resume_overrides(config: Config, overrides: Sequence[str], *, fields: Mapping[str, Any] | None = None) -> Config:
    """The saved configuration with what a resumed run may change: budget, more seeds, intervals, devices.

    Naming another field with its saved value is no change. A longer or shorter budget under a schedule gives a note.
    """
    said = {key: values(key, text) for key, text in words(overrides, "romanesco train --resume RUN")}
    said |= {key: [Said(value)] for key, value in (fields or {}).items()}
    if swept := [key for key, points in said.items() if len(points) > 1]:
        raise BadInput(f"{swept[0]} is a sweep: a resumed run is one run")
    choices = {group: type(getattr(config, group)) for group in GROUPS}
    leaves, saved = schema(choices), config.to_dict()
    for key, (point,) in said.items():
        if key in GROUPS:
            if point.value != saved[key]["name"]:
                raise _kept(key, saved[key]["name"], point.value)
            continue
        if key not in leaves:
            raise unknown(key, leaves, choices)
        part, _, leaf = key.rpartition(".")
        place, value = (saved[part] if part else saved), leaves[key].convert(point.value, point.text)
        if isinstance(value, str) and "${" in value:
            raise BadInput(f"{key}={show(value)}: give a value; a resumed run has no references")
        if value != place[leaf] and not key.startswith(MAY_CHANGE):
            raise _kept(key, place[leaf], value)
        place[leaf] = value
    return _resumed(config, build(choices, saved))


def changed_world(config: Config, overrides: Sequence[str]) -> Any:
    """The run's environment group with other `env.*` values: for zero-shot transfer."""
    choices = {group: type(getattr(config, group)) for group in GROUPS}
    leaves, data = schema(choices), config.to_dict()
    said = {key: values(key, text)[0] for key, text in words(overrides, "romanesco eval RUN")}
    if others := [key for key in said if not key.startswith("env.")]:
        raise BadInput(f"{others[0]}: a trained agent keeps its configuration; only env.KEY=VALUE can be changed here")
    for key, value in check(from_mapping(said, COMMAND), leaves, choices).items():
        data["env"][key.removeprefix("env.")] = value
    return build(choices, data).env


def _resumed(old: Config, new: Config) -> Config:
    if new.seeds < old.seeds:
        raise BadInput(f"seeds={new.seeds}: the run has {old.seeds}; a resumed run may only get more")
    new = sizes.settle(new, seeds_said=True, updates_said=False, both_said=False)
    if new.total_steps != old.total_steps and new.algorithm.anneal:
        names = ", ".join(new.algorithm.anneal)
        note = f"total_steps={new.total_steps}, was {old.total_steps}: the schedule of {names} changes, and ends there"
        new.notes = (*new.notes, note)  # type: ignore[misc]
    return new


def _kept(key: str, saved: Any, asked: Any) -> BadInput:
    return BadInput(
        f"{key}: the run has {show(saved)}, asked is {show(asked)}; a resumed run may change only total_steps, seeds "
        f"(more), devices, log.*, eval.*, checkpoint.*, run.*; to go on from its weights, start a new run with "
        f"init_from=RUN {quoted(f'{key}={show(asked)}')}"
    )
