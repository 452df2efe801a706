"""The directive `{catalog}`: presets, and the settings of a group or section, as tables."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from romanesco.lab import catalog
from romanesco.lab.config import SECTIONS


def table(head, rows):
    escaped = [[str(x).replace("|", r"\|") for x in row] for row in rows]
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def allowed(setting):
    """The type, and the bounds or choices where there are any."""
    if setting["choices"]:
        return ", ".join(f"`{x}`" for x in setting["choices"])
    bounds = {"least": "at least", "above": "above", "most": "at most"}
    told = [f"{words} {setting[name]:g}" for name, words in bounds.items() if setting[name] is not None]
    return ", ".join([setting["type"], *told])


def default(value):
    words = {None: "null", True: "true", False: "false"}
    return f"`{words[value]}`" if value is None or isinstance(value, bool) else f"`{value}`"


def settings(rows):
    return table(["key", "default", "allowed", "what it is"], [
        [f"`{s['key']}`", default(s["default"]), allowed(s), s["help"]] for s in rows
    ])  # fmt: skip


def group(options):
    """Keys that every option has once, then each option with its own."""
    own = [option for option in options if option["settings"]]
    shared = set.intersection(*({s["key"] for s in option["settings"]} for option in own))
    common = [s for s in own[0]["settings"] if s["key"] in shared and len(own) > 1]
    parts = ["Of every one:", settings(common)] if common else []
    for option in options:
        parts.append(f"**`{option['name']}`** {option['summary']}.")
        mine = [s for s in option["settings"] if s not in common]
        parts += [settings(mine)] if mine else []
    return "\n\n".join(parts)


def text(name):
    everything = catalog.listing()
    if name == "presets":
        head = ["preset", "what it is", "world", "memory", "encoder", "algorithm"]
        keys = ["name", "summary", "env", "memory", "encoder", "algorithm"]
        return table(head, [[f"`{row[k]}`" if k != "summary" else row[k] for k in keys] for row in everything[name]])
    if name in everything and name != "settings":
        return group(everything[name])
    if name != "top" and name not in SECTIONS:
        raise ValueError(f"catalog {name}: presets, top, {', '.join([*catalog.PLURALS.values(), *SECTIONS])}")
    section = "" if name == "top" else name
    return settings([s for s in everything["settings"] if s["key"].rpartition(".")[0] == section])


class Catalog(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(text(self.arguments[0]))


def setup(app):
    app.add_directive("catalog", Catalog)
    return {"parallel_read_safe": True}
