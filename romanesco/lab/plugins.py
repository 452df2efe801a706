"""Options that other people's packages add: a dataclass from the signature of their class."""

import dataclasses
import functools
import inspect
import types
import typing
from dataclasses import make_dataclass
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.core.registry import Registry
from romanesco.lab.fields import Option, key

TYPES = (int, float, bool, str)


def plugins(group: str) -> Registry:
    """What installed packages add to a group, ours left out."""
    return Registry(group, {})


def find(group: str, name: str, base: type[Option]) -> type[Option] | None:
    """The option of a plug-in, None if there is no such name. This imports the plug-in, and JAX with it."""
    found = plugins(group)
    return from_signature(name, found[name], base) if name in found else None


@functools.cache
def of_gymnasium(name: str) -> type[Option]:
    """The option of `gymnasium:ID`: what every host world has, and the constructor's keywords of plain types."""
    from romanesco.envs.gym import specification
    from romanesco.lab.worlds import GymnasiumEnvironment as Base

    spec = specification(name.partition(":")[2])
    taken = {f.name for f in dataclasses.fields(Base)} | {"render_mode"}
    fields = []
    for parameter in _parameters(spec.entry_point):
        default = spec.kwargs.get(parameter.name, parameter.default)
        if parameter.name not in taken and type(default) in TYPES:
            fields.append((parameter.name, type(default), key(default, "of the environment's constructor")))
    made = make_dataclass("Gymnasium", fields, bases=(Base,))
    made.name, made.__doc__ = name, f"Gymnasium's {spec.id}."
    return made


def _parameters(entry_point: Any) -> list[inspect.Parameter]:
    """The keywords of what a registered environment is made by; none where it does not say."""
    from gymnasium.envs.registration import load_env_creator

    try:
        target = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
        return [p for p in inspect.signature(target).parameters.values() if p.kind is not p.VAR_KEYWORD]
    except (ImportError, AttributeError, TypeError, ValueError):
        return []


def from_signature(name: str, target: Any, base: type[Option]) -> type[Option]:
    """An option whose settings are the keyword-only parameters of `target`, `key` left out.

    Types int, float, bool, str, lists of them and `| None`; bounds are keyword arguments of `Rule` as a dict in
    `typing.Annotated[int, {"least": 1}]`. A parameter without a default, or of another type, raises `BadInput`.
    """
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    fields = []
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.name == "key":
            continue
        default = parameter.default
        hint, rule = _unpack(hints.get(parameter.name, type(default)))
        if isinstance(default, tuple | list):
            hint, default = _as_list(hint if typing.get_args(hint) else list[int]), list(default)
        if default is parameter.empty or not _supported(hint):
            raise BadInput(f"{name}: parameter `{parameter.name}` needs a default and a type int, float, bool or str")
        fields.append((parameter.name, hint, key(default, **{"help": "", **rule})))
    made = make_dataclass(base.__name__ + name.title(), fields, bases=(base,))
    made.name, made.__doc__ = name, inspect.getdoc(target) or ""
    return made


def _unpack(hint: Any) -> tuple[Any, dict[str, Any]]:
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, {}
    kind, *extras = typing.get_args(hint)
    return kind, next((extra for extra in extras if isinstance(extra, dict)), {})


def _as_list(hint: Any) -> Any:
    """Any sequence of sequences as list[list[...]]."""
    inner = typing.get_args(hint)
    return list[_as_list(inner[0])] if inner else hint  # type: ignore[misc]


def _supported(hint: Any) -> bool:
    while typing.get_origin(hint) is list and typing.get_origin(typing.get_args(hint)[0]) is list:
        (hint,) = typing.get_args(hint)
    plain = typing.get_origin(hint) in (None, list, typing.Union, types.UnionType)
    return plain and all(arm in (*TYPES, type(None)) for arm in typing.get_args(hint) or (hint,))
