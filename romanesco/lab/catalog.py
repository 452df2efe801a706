"""What can be chosen and set, as plain data for `list` and `--help`. Needs neither JAX nor Hydra."""

import inspect
import math
from typing import Any

from romanesco.lab import files
from romanesco.lab.compose import preset_layer
from romanesco.lab.config import ROOT, SECTIONS, schema
from romanesco.lab.fields import Setting, settings, show
from romanesco.lab.layers import check, stack
from romanesco.lab.options import GROUPS
from romanesco.lab.plugins import plugins
from romanesco.lab.worlds import GymnasiumEnvironment

PLURALS = {"env": "envs", "memory": "memories", "encoder": "encoders", "algorithm": "algorithms"}


def setting(s: Setting) -> dict[str, Any]:
    """Everything about one key; infinity is the text `inf`, as JSON has none."""
    rule = s.rule
    plain = lambda x: show(x) if isinstance(x, float) and math.isinf(x) else x
    return {
        "key": s.key,
        "type": s.type,
        "default": plain(s.default),
        "least": rule.least,
        "above": rule.above,
        "most": rule.most,
        "choices": list(rule.choices) or None,
        "help": rule.help,
    }


def presets() -> list[dict[str, Any]]:
    """One row a preset: its name, summary and options."""
    rows = []
    for name in files.presets():
        choices, _ = stack([preset_layer(name)], frozenset())
        options = {group: option.name for group, option in choices.items()}
        rows.append({"name": name, "summary": files.preset(name).get("summary", ""), **options})
    return rows


def options(group: str) -> list[dict[str, Any]]:
    """One row an option of a group, plug-ins last: those are imported only when they are chosen."""
    rows = []
    for name, cls in GROUPS[group].items():
        keys = [setting(s) for s in settings(cls, f"{group}.").values()]
        rows.append({"name": name, "summary": _summary(cls), **_world(group, name), "settings": keys})
    if group == "env":
        keys = [setting(s) for s in settings(GymnasiumEnvironment, "env.").values()]
        rows.append(
            {"name": "gymnasium:ID", "summary": _summary(GymnasiumEnvironment), "kind": "host", "settings": keys}
        )
    others = {k: v for k, v in plugins(group).targets.items() if k not in GROUPS[group]}
    return rows + [{"name": k, "summary": f"plug-in {v.partition(':')[0]}", "settings": []} for k, v in others.items()]


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").splitlines()[0].rstrip(".")


def _world(group: str, name: str) -> dict[str, Any]:
    """What the table of environments knows of a name."""
    from romanesco.envs.table import ROWS

    return {k: v for k, v in ROWS[name]._asdict().items() if k != "summary"} if group == "env" and name in ROWS else {}


def listing() -> dict[str, Any]:
    """All of it: what `list --json` prints."""
    groups = {plural: options(group) for group, plural in PLURALS.items()}
    shared = {k: s for section, cls in SECTIONS.items() for k, s in settings(cls, f"{section}.").items()}
    return {"presets": presets(), **groups, "settings": [setting(s) for s in {**ROOT, **shared}.values()]}


def overview() -> str:
    """Every preset, environment, memory, encoder and algorithm, one line each."""
    parts = {"presets": presets(), **{plural: options(group) for group, plural in PLURALS.items()}}
    lines = lambda rows: _columns([(f"  {row['name']}", row["summary"]) for row in rows])
    return "\n\n".join("\n".join([title, *lines(rows)]) for title, rows in parts.items())


def help_text(preset: str) -> str:
    """Every key of a preset with its value, what is allowed and what it means, by group and section."""
    layer = preset_layer(preset)
    choices, _ = stack([layer], frozenset())
    leaves = schema(choices)
    values = {"preset": preset, **check(layer, leaves, choices)}
    blocks = [f"{preset}: {files.preset(preset).get('summary', '')}"]
    for part in ("", *GROUPS, *SECTIONS):
        title = f"{part}={choices[part].name}" if part in choices else part or "top level"
        here = [s for k, s in leaves.items() if k.rpartition(".")[0] == part]
        rows = [(f"  {s.key}", show(values.get(s.key, s.default)), f"{s.rule.help} ({s.allowed})") for s in here]
        blocks.append("\n".join([title, *_columns(rows)]))
    return "\n\n".join(blocks)


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return ["  ".join([*(x.ljust(w) for x, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
