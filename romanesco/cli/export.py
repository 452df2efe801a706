"""`romanesco export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import Root, app, say
from romanesco.core.errors import BadInput, nearest

FORMATS = {
    "policy": "a folder that rm.load and `romanesco eval` take, without the run",
    "card": "the same with a model card, README.md",
    "csv": "a table of final scores, seeds by runs, which `romanesco compare` reads",
    "marl-eval": "a JSON file of scores for the plots of marl-eval",
}


@app.command()
def export(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="a run; csv and marl-eval take several")],
    to: Annotated[Path, typer.Option("--to", help="the folder to make, or the file of a table")],
    form: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = "policy",
    seed: Annotated[str | None, typer.Option(help="a number, or best; else the run's first")] = None,
    checkpoint: Annotated[str, typer.Option(help="latest, best, or a step")] = "latest",
    force: Annotated[bool, typer.Option("--force", help="replace an earlier export")] = False,
    root: Root = None,
) -> None:
    """Write a policy, or scores, for use elsewhere.

    The policy of one seed becomes a folder: policy.safetensors (parameters and normalizer), config.json (settings,
    spaces, hash) and results.json. It needs neither the run nor the library of its world, and holds no pickle; load it
    with rm.load("DIR"), play it with `romanesco eval DIR`, train on with `romanesco train ... init_from=DIR`.

    --seed best takes the seed that did best in its last evaluation, and says so in the export: the best of many is
    better than what training gives on average. --checkpoint best takes the parameters of each seed's best evaluation.

    romanesco export latest --to walker; romanesco export A B --format csv --to scores.csv
    """
    if form not in FORMATS:
        known = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
        raise BadInput(f"--format {form}: unknown format{nearest(form, FORMATS) or ';'} there are {known}")
    if form in ("csv", "marl-eval"):
        _scores(names, to, form, force, root)
        return
    if len(names) != 1:
        raise BadInput(f"--format {form} takes one run, not {len(names)}; csv and marl-eval take several")
    from romanesco.lab.store import find_run

    path = find_run(names[0], root)
    from romanesco.lab.export import export_policy

    made, notes = export_policy(
        path, to, seed=_number(seed), checkpoint=_number(checkpoint) or 0, card=form == "card", force=force
    )
    for note in notes:
        say(f"warning: {note}; the one before it is used", error=True)
    if made.selected:
        say(f"seed {made.seed} is selected: {made.selected}")
    say(f"policy  {to}  (seed {made.seed}, step {made.step:,})" if made.step is not None else f"policy  {to}")


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _scores(names: list[str], to: Path, form: str, force: bool, root: str | None) -> None:
    """A file of final scores."""
    if to.exists() and (to.is_dir() or not force):
        raise BadInput(f"--to {to}: is there already; name another file" + ("" if to.is_dir() else ", or --force"))
    from romanesco.lab.disk import replace
    from romanesco.lab.store import find_run
    from romanesco.study import scores
    from romanesco.study.runs import Run

    runs = [Run(find_run(name, root)) for name in names]
    text = scores.as_csv(runs) if form == "csv" else scores.as_marl_eval(runs)
    to.parent.mkdir(parents=True, exist_ok=True)
    replace(to.absolute(), text.encode())
    say(f"scores  {to}")
