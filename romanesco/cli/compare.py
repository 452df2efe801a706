"""`romanesco compare`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import Json, Root, app, say, table
from romanesco.cli.train import finished
from romanesco.core.errors import BadInput


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="runs, or a CSV: first the seed, then the arms")],
    margin: Annotated[float | None, typer.Option(help="test non-inferiority by this margin, in score units")] = None,
    against: Annotated[str | None, typer.Option(metavar="ARM", help="compare all with this arm only")] = None,
    power: Annotated[bool, typer.Option("--power", help="show what numbers of seeds can detect")] = False,
    plot: Annotated[Path | None, typer.Option(help="write a figure, FILE.svg")] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="compare though budgets, thresholds, worlds or evaluations differ")
    ] = False,
    twin: Annotated[
        bool, typer.Option("--twin", help="beside the fully observed twin of the world; trains what is missing there")
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Say whether one agent beats another, and what cannot be said.

    The score of a training seed is the mean return of its final greedy evaluation; the seed is what counts, not the
    episode. A permutation test of the interquartile mean (IQM) decides at 5 %, corrected by Holm over all pairs;
    intervals only describe. Seeds without a score are named and left out. `p` is how often chance alone gives a
    difference as large; a large p is no evidence that agents are alike. To show "not worse", give --margin before you
    look. Ten seeds an arm see differences of 1.3 standard deviations, 17 of 1.

    --twin asks what a memory is worth: it trains each run again, RUN-twin, where nothing is hidden (env.twin=true), and
    without its memory, and tells the observability gap (twin minus task), the memory bias (on the twin, against none)
    and how many steps a policy needs to recover from one frame of noise.

    Like: romanesco compare latest cartpole/gru/RUN --plot cmp.svg, or romanesco compare scores.csv --margin 5
    """
    from romanesco.lab.store import find_run
    from romanesco.study.arms import found_arms
    from romanesco.study.compare import compare as judge
    from romanesco.study.tables import arm_rows, pair_rows, power_rows

    if twin:
        if plot or power or margin is not None or against is not None:
            raise BadInput(
                "compare --twin: tells of each run what its memory is worth; it takes only --root and --json"
            )
        _beside_twins(names, root, as_json)
        return
    told = judge(found_arms(names, lambda name: find_run(name, root)), margin=margin, allow_mismatch=allow_mismatch,
                 against=against)  # fmt: skip
    drawn = told.plot(plot) if plot is not None else None
    if as_json:
        say(json.dumps(told.as_json(), indent=1, allow_nan=False))
        return
    shown = [arm_rows(told), pair_rows(told)]
    if power or any(arm.n == 1 for arm in told.arms):
        shown.append(power_rows(told))
    for head, rows in shown:
        table(rows, head)
        say()
    say(str(told))
    if drawn:
        say(f"figure  {drawn}")


def _beside_twins(names: list[str], root: str | None, as_json: bool) -> None:
    """Trains what is missing on the twin, and tells what each memory is worth."""
    from romanesco.api import recovery
    from romanesco.lab.load import config_of
    from romanesco.lab.store import find_run
    from romanesco.lab.twin import on_twin, without_memory
    from romanesco.study.arms import arms_of, of_run
    from romanesco.study.runs import Run
    from romanesco.study.twins import COLUMNS, Twins, sentence

    arms = arms_of([Run(find_run(name, root)) for name in names])
    bare: dict[str, Run] = {}  # the agents without a memory, by what else they are
    found = []
    for arm in arms:
        assert arm.run is not None
        config = config_of(arm.run.path)
        there, without = (make(config, arm.run.name) for make in (on_twin, without_memory))
        say(f"{arm.name}: on the twin", error=True)
        twin = Run(finished(there))
        kind = repr(dataclasses.replace(without, name=None))
        if kind not in bare:
            say(f"{arm.name}: on the twin, without a memory", error=True)
            bare[kind] = Run(finished(without))
        beside = of_run(twin, "twin"), of_run(bare[kind], "none")
        found.append(Twins.of(arm, *beside, recovery(arm.run.path)))
    if as_json:
        say(json.dumps([dataclasses.asdict(one) for one in found], indent=1, allow_nan=False))
        return
    table([one.cells() for one in found], COLUMNS)
    say()
    say(sentence(found))
