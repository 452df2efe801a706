"""`romanesco ablate`."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from romanesco.cli.terminal import Json, app, say, table
from romanesco.cli.train import finished
from romanesco.core.errors import BadInput

if TYPE_CHECKING:
    from romanesco.study.paired import Taken

EPISODES = 100  # of every seed and head


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
    whole; but `heads` plays the trained agent without one head at a time. What is finished under the same --name is not
    trained again.

    Like: romanesco ablate tmaze/agalite --controls exact,value_only env.corridor_length=60 --name l60
    """
    from romanesco.lab.ablate import CONTROLS, FULL, HEADS, arms

    if controls == "?":
        table([[key, control.help, control.needs] for key, control in CONTROLS.items()], ["control", "what", "needs"])
        return
    words = list(context.args)
    if foreign := [word for word in words if word.startswith("name=") or "=" not in word]:
        raise BadInput(f"ablate: `{foreign[0]}`; give key=value, and --name for the names of the runs")
    asked = [control.strip() for control in controls.split(",")]
    configs = arms(preset, asked, words)
    if plot is not None and len(configs) == 1:
        raise BadInput("ablate: --plot shows arms that are trained, and `heads` trains none; name another control too")
    stamp = name or f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    paths = {}
    for arm, config in configs.items():
        say(f"{arm} ({len(paths) + 1} of {len(configs)})", error=True)
        paths[arm] = finished(dataclasses.replace(config, name=f"{stamp}-{arm}"))

    from romanesco.study.arms import of_run
    from romanesco.study.compare import compare
    from romanesco.study.paired import taken_rows
    from romanesco.study.runs import Run
    from romanesco.study.tables import arm_rows, pair_rows

    runs = {arm: Run(path) for arm, path in paths.items()}
    trained = compare([of_run(run, arm) for arm, run in runs.items()], against=FULL) if len(runs) > 1 else None
    silenced = _heads(paths[FULL]) if HEADS in asked else None
    sizes = {arm: json.loads((path / "model.json").read_text(encoding="utf-8")) for arm, path in paths.items()}
    if as_json:
        heads = silenced and [dataclasses.asdict(one) for one in silenced]
        told = {**(trained.as_json() if trained else {}), "heads": heads}
        say(json.dumps({**told, "models": sizes, "runs": {a: str(p) for a, p in paths.items()}}, indent=1))
        return
    if trained:
        head, rows = arm_rows(trained)
        counts = [[f"{sizes[row[0]][key]:,}" for key in ("parameters", "carry")] for row in rows]
        table([[row[0], *more, *row[1:]] for row, more in zip(rows, counts, strict=True)],
              [head[0], "parameters", "state", *head[1:]])  # fmt: skip
        say()
        head, rows = pair_rows(trained)
        table(rows, head)
        say(f"\n{trained}" + "\n" * bool(silenced))
        if plot is not None:
            say(f"figure  {trained.plot(plot)}")
    if silenced:
        head, rows = taken_rows(silenced)
        table(rows, head)
        say("\nThe same seeds in the same episodes, with and without a head: sign-flip tests of the mean difference.")


def _heads(path: Path) -> list[Taken]:
    """The trained agent beside itself without one head at a time: returns of the same episodes."""
    from romanesco import api
    from romanesco.lab.ablate import FULL
    from romanesco.lab.heads import silenced
    from romanesco.lab.load import load_agents
    from romanesco.study.paired import taken

    found = load_agents(path)
    actors: Any = {(FULL, seed): actor for seed, actor in found.actors.items()}
    actors |= {(name, seed): one for seed, actor in found.actors.items() for name, one in silenced(actor).items()}
    played = api.play(dataclasses.replace(found, actors=actors), episodes=EPISODES, greedy=True)
    scores: dict[str, dict[int | str, float]] = {}
    for (name, seed), metrics in played.items():  # type: ignore[misc]
        scores.setdefault(name, {})[seed] = float(metrics["return"].mean())
    return taken(FULL, scores)
