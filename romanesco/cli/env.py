"""`romanesco env`: one world, looked at before anybody trains in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from romanesco.cli.terminal import Json, app, say, table
from romanesco.core.errors import BadInput


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def env(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="a world, as `list envs` names it, or gymnasium:ID")],
    episodes: Annotated[int, typer.Option(help="episodes of random actions; 0: none")] = 0,
    render: Annotated[Path | None, typer.Option(help="write one of them, the median, as a GIF")] = None,
    bench: Annotated[bool, typer.Option("--bench", help="measure steps a second")] = False,
    as_json: Json = False,
) -> None:
    """Show a world: spaces, limits, random play, speed.

    env.KEY=VALUE sets it. Like: romanesco env tmaze env.corridor_length=20 --episodes 100 --render tmaze.gif --bench
    """
    if episodes < 0:
        raise BadInput(f"--episodes {episodes}: at least 0")
    from romanesco.lab.compose import resolve
    from romanesco.lab.spelling import words

    said = words(context.args, f"romanesco env {name}")
    if wrong := [key for key, _ in said if not key.startswith("env.")]:
        raise BadInput(f"{wrong[0]}: only env.KEY=VALUE can be set here; `romanesco list envs {name}` lists the keys")
    configs = resolve(None, [f"env={name}", *context.args])
    if len(configs) > 1:
        raise BadInput("env shows one world at a time; give one value a key, without a sweep")
    from romanesco import api

    found = api.at_random(configs[0])
    shown: dict[str, Any] = api.about(found)
    if episodes or render:
        played = api.play(found, episodes=max(episodes, 1), greedy=False)[0]
        shown["random"] = {metric: {"mean": float(x.mean()), "std": float(x.std())} for metric, x in played.items()}
    if bench:
        shown["speed"] = api.bench(found)._asdict()
    if as_json:
        say(json.dumps(shown, indent=1))
    else:
        _page(shown, max(episodes, 1))
    if render is not None:
        seen = api.film(found, render, episodes=min(max(episodes, 1), 10), pick="median", greedy=False)
        say(f"return {seen['return']:.4g}: {render}", error=as_json)


def _page(shown: dict[str, Any], episodes: int) -> None:
    plain = lambda x: "-" if x is None else str(x)
    facts = [(k, plain(shown[k])) for k in ("kind", "observation", "features", "actions", "limit", "threshold")]
    facts += [("parameter" if i == 0 else "", line) for i, line in enumerate(shown["parameters"])]
    table(facts, [shown["name"], shown["summary"]])
    if "random" in shown:
        say(f"\n{episodes} episode{'s' * (episodes > 1)} of random actions")
        rows = [(k, f"{x['mean']:.4g}", f"{x['std']:.4g}") for k, x in sorted(shown["random"].items())]
        table(rows, ["metric", "mean", "std"])
    if "speed" in shown:
        speed = shown["speed"]
        say(
            f"\n{speed['wall']:,.0f} steps/s, {speed['cpu']:,.0f} a CPU-second of all threads, "
            f"{speed['streams']} streams"
        )
