"""`romanesco ablate`."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import Json, app, say, table
from romanesco.cli.train import finished
from romanesco.core.errors import BadInput


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ablate(
    context: typer.Context,
    preset: Annotated[str, typer.Argument(help="what is trained; key=value changes it for all arms")],
    controls: Annotated[str, typer.Option(help="parts to take away, parted by commas; --controls ? lists them")],
    name: Annotated[str | None, typer.Option(help="of the runs, NAME-full, NAME-CONTROL; given again, goes on")] = None,
    plot: Annotated[Path | None, typer.Option(help="write a figure, FILE.svg")] = None,
    as_json: Json = False,
) -> None:
    """Train an agent whole and without some parts.

    Each control, the agent without one part, is a full run with the same seeds and budget, and is compared with the
    whole. What is finished under the same --name is not trained again.

    Like: romanesco ablate tmaze/agalite --controls exact,value_only env.corridor_length=60 --name l60
    """
    from romanesco.lab.ablate import CONTROLS, FULL, arms

    if controls == "?":
        table([[key, control.help, control.needs] for key, control in CONTROLS.items()], ["control", "what", "needs"])
        return
    words = list(context.args)
    if foreign := [word for word in words if word.startswith("name=") or "=" not in word]:
        raise BadInput(f"ablate: `{foreign[0]}`; give key=value, and --name for the names of the runs")
    configs = arms(preset, [control.strip() for control in controls.split(",")], words)
    stamp = name or f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    paths = {}
    for arm, config in configs.items():
        say(f"{arm} ({len(paths) + 1} of {len(configs)})", error=True)
        paths[arm] = finished(dataclasses.replace(config, name=f"{stamp}-{arm}"))

    from romanesco.study.arms import of_run
    from romanesco.study.compare import compare
    from romanesco.study.runs import Run
    from romanesco.study.tables import arm_rows, pair_rows

    runs = {arm: Run(path) for arm, path in paths.items()}
    told = compare([of_run(run, arm) for arm, run in runs.items()], against=FULL)
    sizes = {arm: json.loads((path / "model.json").read_text(encoding="utf-8")) for arm, path in paths.items()}
    if as_json:
        say(json.dumps({**told.as_json(), "models": sizes, "runs": {a: str(p) for a, p in paths.items()}}, indent=1))
        return
    head, rows = arm_rows(told)
    counts = [[f"{sizes[row[0]][key]:,}" for key in ("parameters", "carry")] for row in rows]
    table([[row[0], *more, *row[1:]] for row, more in zip(rows, counts, strict=True)],
          [head[0], "parameters", "state", *head[1:]])  # fmt: skip
    say()
    head, rows = pair_rows(told)
    table(rows, head)
    say()
    say(str(told))
    if plot is not None:
        say(f"figure  {told.plot(plot)}")
