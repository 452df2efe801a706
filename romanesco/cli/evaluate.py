"""`romanesco eval`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

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
    """Play fresh episodes with trained agents.

    Words like env.corridor_length=40 change the world (zero-shot transfer). RUN may also be the folder of an export.

    Like: romanesco eval latest env.corridor_length=40, or romanesco eval latest --render best.gif --pick best
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
        if "reached" in names:
            say(_apart(list(played.values())))
    if render is not None:
        shown = api.film(found, render, episodes=min(episodes, 10), pick=pick, greedy=not sampled)
        say(f"{pick} of {min(episodes, 10)} episodes, return {shown['return']:.4g}: {render}")


def _apart(played: Sequence[Mapping[str, Any]]) -> str:
    """Coming to where it is decided, and deciding right there, with Wilson's intervals over all episodes."""
    from romanesco.study.stats import wilson

    def rate(hits: float, of: float) -> str:
        if not of:
            return "n/a"
        low, high = wilson(hits, int(of))
        return f"{hits / of:.3f} [{low:.3f}, {high:.3f}]"

    reached, success = (sum(float(scores[name].sum()) for scores in played) for name in ("reached", "success"))
    total = sum(len(scores["reached"]) for scores in played)
    return f"P(reach) {rate(reached, total)}, P(correct | reach) {rate(success, reached)}, over {total} episodes"
