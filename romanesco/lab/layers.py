"""What one source - a preset, a file, a command line - says of a configuration, checked before anything is merged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from romanesco.core.errors import BadInput, nearest
from romanesco.lab.config import DEFAULTS, ROOT, SECTIONS, option
from romanesco.lab.fields import Option, Setting, settings, show
from romanesco.lab.options import GIVEN, GROUPS
from romanesco.lab.spelling import Said

COMMAND = "the command line"
REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")


@dataclass
class Layer:
    """Which option of which group, and values by dotted key; later words win."""

    source: str
    choices: dict[str, type[Option]] = field(default_factory=dict)
    values: dict[str, Said] = field(default_factory=dict)

    def say(self, key: str, said: Said) -> None:
        """Take one entry: a leaf, a group's option by name, or a mapping of a group or section."""
        group, _, leaf = key.partition(".")
        if key in GROUPS or (group in GROUPS and leaf == "name"):
            self._choose(group, said)
        elif key in SECTIONS:
            if not isinstance(said.value, Mapping):
                keys = ", ".join(settings(SECTIONS[key], f"{key}."))
                raise BadInput(f"{key}={show(said.value)}: `{key}` is a section; keys here: {keys}")
            self._members(key, said.value)
        elif "." in leaf:  # an entry of a mapping, such as env.randomize.length
            whole, _, name = leaf.partition(".")
            before = self.values.get(f"{group}.{whole}", Said({})).value
            self.values[f"{group}.{whole}"] = Said(
                {**(before if isinstance(before, Mapping) else {}), name: said.value}
            )
        else:
            self.values[key] = said

    def _choose(self, group: str, said: Said) -> None:
        value = said.value
        if isinstance(value, Mapping):
            if "name" in value:
                self._choose(group, Said(value["name"]))
            self._members(group, {k: v for k, v in value.items() if k != "name"})
            return
        name = "none" if value is None and group == "memory" else value if isinstance(value, str) else said.text
        if not isinstance(name, str) or "${" in name:
            raise BadInput(f"{group}={show(value)}: give one of {', '.join(GROUPS[group])}")
        if name == "object" and group in GIVEN:
            raise BadInput(f"{group}=object stands for an object that Python gave: rm.train(..., {group}=...)")
        self.choices[group], implied = option(group, name)
        self._members(group, implied)

    def _members(self, part: str, values: Mapping[Any, Any]) -> None:
        for leaf, value in values.items():
            self.values[f"{part}.{leaf}"] = Said(value)


def from_mapping(data: Mapping[str, Any], source: str) -> Layer:
    """A layer of nested plain data, or of values by dotted key."""
    layer = Layer(source)
    for key, value in data.items():
        layer.say(key, value if isinstance(value, Said) else Said(value))
    return layer


def stack(layers: list[Layer], objects: frozenset[str]) -> tuple[dict[str, type[Option]], list[str]]:
    """The option of every group, and a note for each value that lost its option.

    A later choice drops what earlier layers say of that group: their values belong to another option, or to another
    idea of the same one. An object takes the place of its group.
    """
    choices: dict[str, type[Option]] = {group: GROUPS[group][name] for group, name in DEFAULTS.items()}
    notes = []
    for i, layer in enumerate(layers):
        for group, chosen in layer.choices.items():
            choices[group] = chosen
            notes += _drop(group, f"{group}={chosen.name}", layers[:i])
    for group in objects & GIVEN.keys():
        choices[group] = GIVEN[group]
        inherited = settings(GIVEN[group], f"{group}.")
        notes += _drop(group, f"{group} is an object", layers, keep=set(inherited) if group == "env" else set())
    return choices, notes


def _drop(group: str, why: str, layers: list[Layer], keep: set[str] | None = None) -> list[str]:
    notes = []
    for layer in layers:
        gone = [k for k in layer.values if k.startswith(f"{group}.") and k not in (keep or ())]
        lost = ", ".join(f"{k}={show(layer.values.pop(k).value)}" for k in gone)
        notes += [f"{why}: without {lost} of {layer.source}"] if lost else []
    return notes


def check(layer: Layer, leaves: Mapping[str, Setting], choices: Mapping[str, type[Option]]) -> dict[str, Any]:
    """The layer's values in their types, by dotted key."""
    made = {}
    try:
        for key, said in layer.values.items():
            if key not in leaves:
                raise unknown(key, leaves, choices)
            made[key] = leaves[key].convert(said.value, said.text)
            _references(key, made[key], leaves)
    except BadInput as error:
        raise BadInput(f"{layer.source}: {error}" if layer.source != COMMAND else str(error)) from None
    return made


def _references(key: str, value: Any, leaves: Mapping[str, Setting]) -> None:
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str) or "${" not in text:
            continue
        if "${" in REFERENCE.sub("", text):
            raise BadInput(
                f"{key}={show(text)}: only other keys may be named, as in ${{num_envs}}; resolvers are refused"
            )
        for name in REFERENCE.findall(text):
            if name not in leaves:
                raise BadInput(f"{key}={show(text)}: no key `{name}`{nearest(name, leaves)}")


def unknown(key: str, leaves: Mapping[str, Setting], choices: Mapping[str, type[Option]]) -> BadInput:
    """The error for a key that no leaf has: the nearest one, and those of the same place."""
    group = key.partition(".")[0]
    here = [k for k in leaves if k.startswith(f"{group}.")] or [*ROOT, *GROUPS, *SECTIONS]
    near = nearest(key, here) or nearest(key, leaves) or _same_leaf(key, leaves)
    others = [
        name for name, cls in GROUPS.get(group, {}).items()
        if key in settings(cls, f"{group}.") and cls is not choices.get(group)
    ]  # fmt: skip
    where = f" with {group}={choices[group].name} (it belongs to {group}={', '.join(others)})" if others else ""
    return BadInput(f"no key `{show(key)}`{where}{near or ';'} keys here: {', '.join(here)}")


def _same_leaf(key: str, leaves: Mapping[str, Setting]) -> str:
    same = [k for k in leaves if k.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"; did you mean `{same[0]}`?" if same else ""
