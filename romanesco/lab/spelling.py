"""What a command line says: overrides in Hydra's grammar, with the quotes and spellings people leave out or mix up."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from romanesco.core.errors import BadInput, nearest
from romanesco.lab.config import ROOT, SECTIONS
from romanesco.lab.fields import settings, show
from romanesco.lab.options import GROUPS

MOST_POINTS = 1_000  # of a sweep
OLD = {
    "task.corridor_len": "env.corridor_length",
    "task.env_name": "env",
    "ppo.clip_ratio": "algorithm.clip",
    "exp_name": "name",
    "timesteps": "total_steps",
    "total_timesteps": "total_steps",
    "lr": "algorithm.learning_rate",
    "n_envs": "num_envs",
    "num_steps": "algorithm.horizon",
    "n_steps": "algorithm.horizon",
    "gae_lambda": "algorithm.lam",
    "ent_coef": "algorithm.entropy_cost",
    "vf_coef": "algorithm.value_cost",
    "clip_coef": "algorithm.clip",
    "clip_range": "algorithm.clip",
}
"""Spellings of other programs."""


class Said(NamedTuple):
    """A value, and the text it was read from (None: it never was text)."""

    value: Any
    text: str | None = None


def vocabulary() -> list[str]:
    """Every key of every option."""
    groups = [(f"{group}.", cls) for group, options in GROUPS.items() for cls in options.values()]
    leaves = [
        k for prefix, cls in [*groups, *((f"{s}.", c) for s, c in SECTIONS.items())] for k in settings(cls, prefix)
    ]
    return list(dict.fromkeys([*ROOT, *GROUPS, *leaves]))


def translated(name: str) -> str | None:
    """Our key for another program's spelling of it, dashes and all."""
    name = name.lstrip("-+").replace("-", "_")
    known = vocabulary()
    if name in known:
        return name
    if name in OLD:
        return OLD[name]
    short = [key for key in known if key.rpartition(".")[2] == name]
    return short[0] if len(short) == 1 else None


def words(overrides: Sequence[str], command: str) -> list[tuple[str, str]]:
    """(key, value as text) of every override. `command` is what stood before them, for errors that repeat it."""
    if any(word.startswith("-") for word in overrides):
        raise _dashed(list(overrides), command)
    made = []
    for word in overrides:
        name, equals, value = word.partition("=")
        name = name.strip()
        _refuse(name, value, command, overrides)
        if not equals:
            near = "; it needs a value:" if name in vocabulary() else nearest(name, vocabulary()) or ";"
            raise BadInput(f"`{show(word)}` is no override{near} write key=value, such as seeds=5")
        made.append((name, value))
    return made


def _dashed(overrides: list[str], command: str) -> BadInput:
    """The same command with `--key value` and `--key=value` in our words."""
    fixed, unknown, rest = [], [], iter(overrides)
    for word in rest:
        if not word.startswith("-"):
            fixed.append(word)
            continue
        name, equals, value = word.partition("=")
        ours = translated(name)
        unknown += [] if ours else [name]
        fixed.append(f"{ours or name.lstrip('-')}={value if equals else next(rest, '...')}")
    if unknown:
        near = nearest(unknown[0].lstrip("-").replace("-", "_"), vocabulary())
        return BadInput(
            f"no option `{unknown[0]}`{near or ';'} settings are written key=value, `{command} --help` lists them"
        )
    return BadInput(f"settings are written key=value: {command} {' '.join(map(quoted, fixed))}")


def _refuse(name: str, value: str, command: str, overrides: Sequence[str]) -> None:
    if re.match(r"[+~]*hydra\b", name) or "_target_" in name + value:
        raise BadInput(f"`{show(name)}={show(value)}` is refused: hydra.* and _target_ are no keys of romanesco")
    plain = name.lstrip("+~")
    ours = OLD.get(plain)
    if ours is not None:
        fixed = [w if w.partition("=")[0].strip() != name else f"{ours}={value}" for w in overrides]
        raise BadInput(f"`{name}` is called `{ours}` here: {command} {' '.join(map(quoted, fixed))}")
    if plain != name:
        raise BadInput(f"`{show(name)}`: keys are neither added (+) nor deleted (~); {_instead(name[0], plain, value)}")


def _instead(sign: str, plain: str, value: str) -> str:
    """What to write for `+key=value` or `~key`."""
    from romanesco.lab.files import presets

    if sign == "~":
        return "leave the key out, and its default holds"
    if f"{plain}/{value}" in presets():
        return f"the preset is romanesco train {plain}/{value}"
    if plain in GROUPS["env"] and value in GROUPS["memory"]:
        return f"write romanesco train env={plain} memory={value}"
    return f"write {quoted(f'{plain}={value}')}"


def quoted(word: str) -> str:
    """A word as a shell takes it; brackets are quoted for zsh."""
    if "'" in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else shlex.quote(word)


def values(key: str, text: str) -> list[Said]:
    """All values that an override gives a key: one, or those of a sweep `a,b`, `choice(...)` or `range(...)`.

    What Hydra's grammar refuses is one text, as if it had been quoted.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    try:
        said = OverridesParser.create().parse_override(f"value={text}")
    except (HydraException, RecursionError, ValueError, ArithmeticError):
        return [Said(_unquoted(key, text), text)]
    if not said.is_sweep_override():
        quotes = text.strip()[:1] in ("'", '"')
        return [Said(said.value(), None if quotes else text)]
    if said.value_type in (ValueType.INTERVAL_SWEEP, ValueType.GLOB_CHOICE_SWEEP):
        raise BadInput(f"{key}={show(text)}: no sweep; write the values, {key}=a,b, or {key}=range(start,stop,step)")
    points = [Said(x, str(x)) for x in map(_plain, _points(key, text, said))]
    if not points:
        raise BadInput(f"{key}={show(text)}: this range holds no value")
    return points


def _points(key: str, text: str, said: Any) -> Iterable[Any]:
    from hydra.errors import HydraException

    try:
        for i, point in enumerate(said.sweep_iterator(transformer=lambda x: x)):
            if i == MOST_POINTS:
                raise BadInput(f"{key}={show(text)}: a sweep of more than {MOST_POINTS:,} values")
            yield point
    except (HydraException, ValueError, ArithmeticError) as error:
        raise BadInput(f"{key}={show(text)}: {str(error).splitlines()[0]}") from None


def _unquoted(key: str, text: str) -> str:
    """A text that the grammar refuses. With a comma it may have been meant as a sweep: say how to write either."""
    text = text.strip()
    if "," in text and not text.startswith("["):
        each = ",".join(f"'{part.strip()}'" for part in text.split(","))
        whole, parts = (quoted(f"{key}={value}") for value in (f"'{text}'", each))
        raise BadInput(f"{key}={show(text)}: quote it, {whole}, or each value, {parts}")
    return text


def _plain(x: Any) -> Any:
    """Hydra's values as Python's."""
    if isinstance(x, list):
        return [_plain(item) for item in x]
    if isinstance(x, dict):
        return {_plain(k): _plain(v) for k, v in x.items()}
    return getattr(x, "text", x)
