"""`romanesco runs`, `list`, `check`, `doctor` and `report`: what is there, and whether it is right."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import FAILED, Json, Root, app, listed, say, table
from romanesco.core.errors import BadInput, among


@app.command()
def runs(
    folder: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="where to look; else $ROMANESCO_RUNS, else runs")
    ] = None,
    as_json: Json = False,
) -> None:
    """List runs: name, status, steps, last return, age.

    Any of the names can be given where a command asks for RUN.
    """
    from romanesco.lab.store import runs_root
    from romanesco.study.runs import runs_under

    root = runs_root(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; train something first, or name the folder of your runs")
    rows = [found.summary() for found in runs_under(root)]
    if not rows and not as_json:
        say(f"no runs in {root}; try: romanesco train quickstart")
        return
    keys = ["name", "status", "steps", "total", "last_return", "age_s"]
    if not as_json:
        rows = [{**row, "age_s": _age(row["age_s"]), "last_return": _short(row["last_return"])} for row in rows]
    listed(rows, as_json, ["run", "status", "steps", "of", "last return", "age"], keys)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _short(x: float | None) -> str:
    return "-" if x is None else f"{x:.4g}"


@app.command("list", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def list_(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="presets, envs, memories, encoders or algorithms")] = None,
    name: Annotated[str | None, typer.Argument(help="one of them: every setting")] = None,
    costs: Annotated[bool, typer.Option("--costs", help="of memories: build and measure those of presets")] = False,
    as_json: Json = False,
) -> None:
    """List presets, worlds, memories, encoders, algorithms.

    Alone it lists all; with a kind, those; with a name too, its settings: type, default and meaning.
    `list memories [NAME] --costs [memory.KEY=VALUE ...]` measures parameters, state, FLOPs, times and rank, of tmaze/*
    or of the preset that NAME is, such as memory_maze/agalite; some minutes for all.

    Like: romanesco list memories agalite
    """
    from romanesco.lab import catalog

    words = [word for word in [name or "", *context.args] if "=" in word]
    if name in words:
        name = None
    if costs:
        if kind != "memories":
            raise BadInput("--costs: romanesco list memories --costs")
        _costs(name, words, as_json)
        return
    if context.args:
        raise BadInput(f"list: `{context.args[0]}` is too much; give a kind and a name")
    everything = catalog.listing()
    if kind is None:
        say(json.dumps(everything, indent=1) if as_json else catalog.overview())
        return
    if kind not in everything:
        raise BadInput(f"list {kind}{among(kind, everything)}")
    rows = everything[kind]
    if name is not None:
        rows = [row for row in rows if row["name"] == name]
        if not rows:
            names = [row["name"] for row in everything[kind]]
            raise BadInput(f"no {name} in {kind}{among(name, names)}")
        rows = rows[0].get("settings", rows) if not as_json else rows
        if not as_json and rows and "key" in rows[0]:
            listed(rows, False, ["key", "type", "default", "help"], ["key", "type", "default", "help"])
            return
    listed(rows, as_json, [kind, "what"], ["name", "summary"])


def _costs(name: str | None, words: list[str], as_json: bool) -> None:
    """The costs of a preset's model, or of the T-Maze's whose memory has this name, or of all."""
    from romanesco.lab import costs
    from romanesco.lab.compose import resolve
    from romanesco.lab.files import presets

    memory = lambda model: resolve(model, ["seeds=1"])[0].memory.name
    named = lambda model: name in (None, memory(model), model.partition("/")[2])
    models = [name] if name in presets() else list(filter(named, costs.models()))
    if not models:
        from romanesco.memory import MEMORIES

        raise BadInput(f"--costs: no memory or preset {name}{among(name or '', [*MEMORIES, *presets()])}")
    found = []
    for one in costs.costs(models, words):
        say(f"measured {one.name}", error=True)
        found.append(one)
    if as_json:
        say(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    else:
        table([costs.cells(one) for one in found], list(costs.COLUMNS))


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="your memory, environment or collector")],
) -> None:
    """Run the laws on code of your own.

    One line a law: that it holds, or how it is broken. NAME is a memory (init_carry, step, sequence), an environment
    (reset, step), a function that makes one, or a collector, in a module that Python finds from here.

    Like: romanesco check my_memory:Leaky
    """
    from romanesco.laws.check import check as judge

    failed = judge(target, say)
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def doctor(
    families: Annotated[str | None, typer.Argument(metavar="[FAMILY,...]", help="with --envs: these only")] = None,
    envs: Annotated[bool, typer.Option("--envs", help="of worlds: make, step and draw one of each family")] = False,
    as_json: Json = False,
) -> None:
    """Say what works here, what is missing, and the remedy."""
    if families and not envs:
        raise BadInput(f"doctor {families}: families of worlds are asked for by romanesco doctor --envs {families}")
    if envs:
        _worlds(families, as_json)
        return
    from romanesco.lab.doctor import examine

    findings = examine()
    listed(findings, as_json, ["part", "state", "what"], ["part", "state", "what"])
    if any(f["state"] == "broken" and f["core"] for f in findings):
        raise typer.Exit(FAILED)


def _worlds(families: str | None, as_json: bool) -> None:
    """What works of the families of worlds, one process each."""
    from romanesco.lab.families import chosen, examine

    findings = []
    for name in chosen(families):
        say(f"trying {name}", error=True)
        findings.append(examine(name))
    keys = ["part", "state", "seconds", "what"]
    listed(findings, as_json, keys, keys)
    if any(f["state"] == "broken" for f in findings):
        raise typer.Exit(FAILED)


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="one run, or several to compare")],
    to: Annotated[Path | None, typer.Option(help="where to write the page")] = None,
    root: Root = None,
) -> None:
    """Write one HTML page about a run, or several.

    It holds the verdict, curves, a table of the seeds, warnings, settings and command, and needs no other file. Of one
    run it goes into its folder, of several to reports/.

    Like: romanesco report latest
    """
    from romanesco.lab.store import find_run
    from romanesco.study.report import report as write
    from romanesco.study.runs import Run

    found = [Run(find_run(name, root)) for name in names]
    page = write(found, to)
    for one in found:
        for warning in one.warnings:
            say(f"warning: {warning}", error=True)
    say(str(page))
