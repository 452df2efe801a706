"""YAML of users, presets and run folders, read safely and with the numbers that people mean. Needs no JAX."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from romanesco.core.errors import BadInput, nearest
from romanesco.lab.config import DEFAULTS, ROOT, SECTIONS, Config, build, option, schema
from romanesco.lab.fields import show
from romanesco.lab.options import GIVEN, GROUPS

LARGEST_FILE = 10**6
PRESETS = Path(__file__).parent / "presets"
NUMBER = r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
FLOAT, INT, DATE = (f"tag:yaml.org,2002:{name}" for name in ("float", "int", "timestamp"))
RESOLVERS = {  # YAML 1.1 takes 1e-4 for a text, 12:30 for 750 and a date for a date
    FLOAT: re.compile(rf"(?:{NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    INT: re.compile(r"[-+]?[0-9][0-9_]*$"),
}


def _resolvers(base: type) -> dict[str | None, list]:
    kept = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in (FLOAT, INT, DATE)]
        for first, rules in base.yaml_implicit_resolvers.items()  # type: ignore[attr-defined]
    }
    for first in "-+0123456789.":
        kept[first] = [(INT, RESOLVERS[INT]), (FLOAT, RESOLVERS[FLOAT]), *kept.get(first, [])]
    return kept


class Loader(yaml.SafeLoader):
    """Plain data only; a key that stands twice in one mapping is an error."""

    yaml_implicit_resolvers = _resolvers(yaml.SafeLoader)
    yaml_constructors = {tag: made for tag, made in yaml.SafeLoader.yaml_constructors.items() if tag != DATE}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for i, (key, _) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value in keys[:i]:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` stands twice", key.start_mark)
        return super().construct_mapping(node, deep=deep)


class Dumper(yaml.SafeDumper):
    """Mappings as blocks, lists in one line, and quotes round every text that `Loader` would take for a number."""

    yaml_implicit_resolvers = _resolvers(yaml.SafeDumper)

    def ignore_aliases(self, data: Any) -> bool:
        return True


Dumper.add_representer(
    list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def parse(text: str, source: str) -> dict[str, Any]:
    """A mapping of texts to plain data; `source` names it in errors."""
    try:
        data = yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{source}:{where} is no YAML: {problem}") from None
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise BadInput(f"{source}: wants lines such as `seeds: 5`, a mapping of keys to values")
    return data


def read(path: str | Path) -> dict[str, Any]:
    """A user's file. A byte order mark and CR LF are accepted; more than a megabyte is not."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(f"--config {path}: {error.strerror}; give a YAML file") from None
    if len(raw) > LARGEST_FILE:
        raise BadInput(f"--config {path}: larger than {LARGEST_FILE:,} bytes, which no configuration is")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"--config {path}: not UTF-8; save it as UTF-8") from None
    return parse("\n".join(text.splitlines()), str(path))


@functools.cache
def presets() -> dict[str, Path]:
    """Name -> file of every preset, by task."""
    found = {path.relative_to(PRESETS).with_suffix("").as_posix(): path for path in PRESETS.rglob("*.yaml")}
    return dict(sorted(found.items(), key=lambda item: ("/" in item[0], item[0])))


def preset(name: str) -> dict[str, Any]:
    """What a preset's file says, its `summary` included."""
    known = presets()
    if name in known:
        return parse(known[name].read_text(encoding="utf-8"), f"preset {name}")
    task, _, agent = name.partition("/")
    here = [other for other in known if other.partition("/")[0] == task]
    if here and agent in GROUPS["memory"]:
        raise BadInput(f"no preset `{name}`; presets of {task}: {', '.join(here)}; or `{here[0]} memory={agent}`")
    if not agent and task in GROUPS["env"]:
        raise BadInput(
            f"no preset `{name}`, an environment: write env={task}"
            + (f", or a preset: {', '.join(here)}" if here else "")
        )
    raise BadInput(f"no preset `{show(name)}`{nearest(name, known) or ';'} presets: {', '.join(known)}")


def to_yaml(config: Config) -> str:
    """A configuration as YAML that any reader of YAML 1.1 or 1.2 takes for the same numbers."""
    return yaml.dump(config.to_dict(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)


def from_yaml(text: str, source: str = "config.yaml") -> Config:
    """What `to_yaml` wrote; a leaf that is missing (an older version's file) has its default."""
    return from_dict(parse(text, source), source)


def from_dict(data: Mapping[str, Any], source: str = "config.yaml") -> Config:
    choices = {}
    if flat := [part for part in (*GROUPS, *SECTIONS) if not isinstance(data.get(part, {}), Mapping)]:
        raise BadInput(f"{source}: `{flat[0]}` must be a mapping of its keys")
    for group in GROUPS:
        name = data.get(group, {}).get("name", DEFAULTS.get(group))
        if name is None:
            raise BadInput(f"{source}: `{group}: {{name: ...}}` is missing")
        choices[group] = GIVEN[group] if name == "object" and group in GIVEN else option(group, name)[0]
    leaves = schema(choices)
    full: dict[str, Any] = {k: data.get(k, ROOT[k].default) for k in ROOT}
    for part in (*GROUPS, *SECTIONS):
        said = {k: v for k, v in data.get(part, {}).items() if k != "name"}
        names = [k.partition(".")[2] for k in leaves if k.startswith(f"{part}.")]
        if unknown := [k for k in said if k not in names]:
            raise BadInput(f"{source}: no key `{part}.{unknown[0]}`{nearest(unknown[0], names)}")
        full[part] = {k: said.get(k, leaves[f"{part}.{k}"].default) for k in names}
    if unknown := [k for k in data if k not in full]:
        raise BadInput(f"{source}: no key `{unknown[0]}`{nearest(unknown[0], full)}")
    return build(choices, full)
