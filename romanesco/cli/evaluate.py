"""`romanesco eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import Json, Root, RunName, app, say, table
from romanesco.core.errors import BadInput


@app.command("eval", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def evaluate(
    context: typer.Context,
    run: RunName,
    episodes: Annotated[int, typer.Option(help="episodes of each seed; at least 1")] = 100,
    checkpoint: Annotated[str, typer.Option(help="latest, best, or a step")] = "latest",
    sampled: Annotated[bool, typer.Option("--sampled", help="sample actions instead of taking the likeliest")] = False,
    render: Annotated[Path | None, typer.Option(help="write one episode of the first seed as a GIF")] = None,
    pick: Annotated[str, typer.Option(help="which episode to render: best, median or worst")] = "median",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Play fresh episodes with trained agents; env.KEY=VALUE changes the world (zero-shot transfer).

    RUN may also be the folder of an export.
    """
    if episodes < 1:
        raise BadInput(f"--episodes {episodes}: at least 1")
    if pick not in ("best", "median", "worst"):
        raise BadInput(f"--pick {pick}: best, median or worst")
    from romanesco.lab.store import find_policy

    path = find_policy(run, root)
    from romanesco import api
    from romanesco.lab.build import Objects
    from romanesco.lab.compose import changed_world
    from romanesco.lab.load import config_of, load_agents, needed_objects

    config = config_of(path)
    needed_objects(path, config, Objects())
    world = changed_world(config, context.args) if context.args else None
    step = int(checkpoint) if checkpoint.isdigit() else checkpoint
    found = load_agents(path, checkpoint=step, env_group=world)
    if found.selected:
        say(f"selected: {found.selected}", error=True)
    for note in found.notes:
        say(f"warning: {note}; the one before it is used", error=True)
    played = api.play(found, episodes=episodes, greedy=not sampled)
    means = {seed: {k: float(x.mean()) for k, x in sorted(scores.items())} for seed, scores in played.items()}
    if as_json:
        say(json.dumps({"run": str(path), "episodes": episodes, "greedy": not sampled, "seeds": means}, indent=1))
    else:
        names = sorted(next(iter(means.values())), key=lambda k: (k != "return", k != "success", k))
        table([[seed, *(f"{scores[k]:.4g}" for k in names)] for seed, scores in means.items()], ["seed", *names])
        iqm, interval = api.hooks().summarize([scores["return"] for scores in means.values()])
        span = f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
        say(f"return {iqm:.4g}{span}: IQM over {len(means)} seed(s), {episodes} episodes each")
    if render is not None:
        shown = api.film(found, render, episodes=min(episodes, 10), pick=pick, greedy=not sampled)
        say(f"{pick} of {min(episodes, 10)} episodes, return {shown['return']:.4g}: {render}")
