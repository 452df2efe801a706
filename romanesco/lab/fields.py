"""One setting of a dataclass: its type, default, bounds, choices and help; how a value becomes one. Needs no JAX."""

import dataclasses
import functools
import math
import numbers
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from romanesco.core.errors import BadInput, nearest

SHARE = "p%"  # the word that stands for every percentage
PERCENT = re.compile(r"(\d+\.?\d*|\.\d+)%")
LARGEST = 2**53  # integers are exact up to here in every reader of JSON
NULLS = ("null", "none", "~")


@dataclass(frozen=True)
class Rule:
    """What a value must obey. `words` are texts allowed where a number is due, `p%` among them any percentage;
    `form` says in words what a text that matches `pattern` is.
    """

    help: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    finite: bool = True
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    pattern: str = ""
    form: str = "text"


def key(default: Any, help: str, **rule: Any) -> Any:
    """A dataclass field with its help text and rule."""
    meta = {"rule": Rule(help, **rule)}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=meta)
    return field(default=default, metadata=meta)


def positive(default: float, help: str, **rule: Any) -> Any:
    """A number above 0."""
    return key(default, help, above=0, **rule)


def size(default: Any, help: str, **rule: Any) -> Any:
    """A whole number from 1 on."""
    return key(default, help, least=1, **rule)


@dataclass
class Option:
    """One choice of a group; its settings are the fields of a subclass."""

    name: ClassVar[str] = ""


@dataclass(frozen=True)
class Setting:
    """One leaf of the configuration. `kind` is int, float, bool or str; `many` is 1 for a list of them, 2 for
    a list of lists. `named`: a mapping of names, those of the rule's choices, to such values; each is a key."""

    key: str
    kind: type
    many: int
    optional: bool
    default: Any
    rule: Rule
    named: bool = False

    @property
    def type(self) -> str:
        """The type in words, for tables: `int`, `list of int`, `float or null`, `int or auto`."""
        name = "NAME: " * self.named + "list of " * self.many + self.kind.__name__
        return " or ".join([name, *self.rule.words, *(["null"] if self.optional else [])])

    @property
    def allowed(self) -> str:
        """The values in words: `a number above 0`."""
        if self.named:
            return f"{self.key}.NAME=[low,high] with NAME one of {', '.join(self.rule.choices)}"
        item = self._item()
        if self.many:
            item = f"a list such as {self._example()}, each {item}"
        *most, last = [item, *self.rule.words, *(["null"] if self.optional else [])]
        return f"{', '.join(most)} or {last}" if most else last

    def _item(self) -> str:
        if self.rule.choices:
            return "one of " + ", ".join(self.rule.choices)
        if self.kind is str:
            return self.rule.form
        if self.kind is bool:
            return "true or false"
        low, above, high = self.rule.least, self.rule.above, self.rule.most
        bounds = (
            [f"of at least {show(low)}"] if low is not None else [f"above {show(above)}"] if above is not None else []
        )
        bounds += [f"at most {show(high)}"] if high is not None else []
        return " ".join([{int: "an integer", float: "a number"}[self.kind], " and ".join(bounds)]).strip()

    def _example(self) -> str:
        if self.many > 1:
            return show([[0, 2], [1]])
        return show(self.default or self.rule.choices[:1] or [64, 64])

    def refuse(self, value: Any) -> BadInput:
        wrong = [x for x in (value if isinstance(value, list) else [value]) if x not in self.rule.choices]
        near = nearest(str(wrong[0]), self.rule.choices) if wrong else ""
        return BadInput(f"{self.key}={show(value)} is not allowed{near or ';'} it must be {self.allowed}")

    def convert(self, value: Any, text: str | None = None) -> Any:
        """The value in this setting's type. `text` is what a command line said before its grammar read a number in it.

        An interpolation `${a.b}` passes as it is: it is converted when it is resolved.
        """
        if self.kind is str and not self.many and text is not None and not isinstance(value, str | None):
            value = text
        if isinstance(value, str) and "${" in value:
            return value
        if self.named:
            return {name: self._entry(name, x) for name, x in self._mapping(value).items()}
        if self.optional and (value is None or (isinstance(value, str) and value.lower() in NULLS)):
            return None
        return self._nested(value, self.many, whole=value)

    def _mapping(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise BadInput(f"{self.key}={show(value)} is not allowed; give {self.allowed}")
        return value

    def _entry(self, name: str, value: Any) -> Any:
        """One value of a mapping: [low, high] of a name that there is."""
        if name not in self.rule.choices:
            near = nearest(name, self.rule.choices) or ";"
            raise BadInput(f"no key `{self.key}.{name}`{near} names here: {', '.join(self.rule.choices)}")
        bounds = [as_float(x) for x in value] if isinstance(value, list | tuple) else []
        low, high = bounds if len(bounds) == 2 else (None, None)
        if low is None or high is None or low > high or not math.isfinite(high - low):
            raise BadInput(f"{self.key}.{name}={show(value)} is not allowed; give [low,high], low at most high")
        return bounds

    def _nested(self, value: Any, depth: int, *, whole: Any) -> Any:
        if not depth:
            return self._one(value, whole=whole)
        if not isinstance(value, list | tuple):
            raise self.refuse(whole)
        return [self._nested(item, depth - 1, whole=whole) for item in value]

    def _one(self, value: Any, *, whole: Any) -> Any:
        if isinstance(value, str) and self._is_word(value):
            return value
        made = {int: as_int, float: as_float, bool: as_bool, str: as_text}[self.kind](value)
        if made is None or not self.within(made):
            raise self.refuse(whole)
        return made

    def _is_word(self, value: str) -> bool:
        return value in self.rule.words or (SHARE in self.rule.words and PERCENT.fullmatch(value) is not None)

    def within(self, x: Any) -> bool:
        rule = self.rule
        if isinstance(x, str):
            fits = not rule.pattern or re.fullmatch(rule.pattern, x)
            return bool(fits) and (not rule.choices or x in rule.choices)
        return (
            (math.isfinite(x) or not rule.finite)
            and (rule.least is None or x >= rule.least)
            and (rule.above is None or x > rule.above)
            and (rule.most is None or x <= rule.most)
        )


def show(value: Any) -> str:
    """A value as a message may hold it: one short line, as the command line would have it."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, Mapping):
        text = "{" + ",".join(f"{name}:{show(x)}" for name, x in value.items()) + "}"
    elif isinstance(value, list | tuple):
        items = (_row(x) if isinstance(x, list | tuple) else show(x) for x in value[:16])
        text = "[" + ",".join(items) + ("" if len(value) <= 16 else ",...") + "]"
    else:
        text = " ".join(str(value).split()) if isinstance(value, str | numbers.Number) else type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."


def _row(values: Any) -> str:
    """A list within a list."""
    deep = any(isinstance(x, list | tuple) for x in values)
    return "[...]" if deep or len(values) > 16 else "[" + ",".join(map(show, values)) + "]"


def as_float(value: Any) -> float | None:
    """A number, or a text that is one; a bool or NaN is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        made = float(value)
    except OverflowError:
        return None
    return None if math.isnan(made) else made


def as_int(value: Any) -> int | None:
    """A whole number in any spelling: 10000, 1e4, "10_000"."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+(_\d+)*\s*", value) and len(value) < 40:
        value = int(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value) if abs(int(value)) <= LARGEST else None
    made = as_float(value)
    return int(made) if made is not None and made.is_integer() and abs(made) <= LARGEST else None


def as_bool(value: Any) -> bool | None:
    text = value.lower() if isinstance(value, str) else value
    return {True: True, False: False, "true": True, "false": False}.get(text) if isinstance(text, str | bool) else None


def as_text(value: Any) -> str | None:
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    return value if isinstance(value, str) else None


@functools.cache
def settings(cls: type, prefix: str = "") -> dict[str, Setting]:
    """The leaves that a dataclass declares by `key`, by dotted name."""
    hints = typing.get_type_hints(cls)
    made = (_setting(f"{prefix}{f.name}", hints[f.name], f) for f in dataclasses.fields(cls) if "rule" in f.metadata)
    return {setting.key: setting for setting in made}


def _setting(name: str, hint: Any, f: dataclasses.Field) -> Setting:
    arms = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if named := typing.get_origin(hint) is dict:
        arms = typing.get_args(hint)[1:]
    optional = type(None) in arms
    kind = next(arm for arm in arms if arm is not type(None))
    many = 0
    while typing.get_origin(kind) is list:
        kind, many = typing.get_args(kind)[0], many + 1
    default = f.default_factory() if f.default is dataclasses.MISSING else f.default  # type: ignore[misc]
    return Setting(name, kind, many, optional, default, f.metadata["rule"], named)
