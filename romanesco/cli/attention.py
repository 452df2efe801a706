"""`romanesco attention`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from romanesco.cli.terminal import Root, RunName, app, say, table


@app.command()
def attention(
    run: RunName,
    plot: Annotated[Path, typer.Option(help="the figure to write: SVG, PNG or PDF")] = Path("attention.svg"),
    data: Annotated[Path | None, typer.Option(help="write the maps too, FILE.npz")] = None,
    steps: Annotated[int, typer.Option(help="steps to play; the figure shows the first episode of them")] = 64,
    seed: Annotated[str, typer.Option(help="a number, or best")] = "best",
    checkpoint: Annotated[str, typer.Option(help="latest, best, or a step")] = "latest",
    sampled: Annotated[bool, typer.Option("--sampled", help="sample actions instead of taking the likeliest")] = False,
    root: Root = None,
) -> None:
    """Draw what an agent attends to while it plays.

    RUN may also be the folder of an export. Like: romanesco attention latest --plot maps.svg --data maps.npz
    """
    from romanesco.lab.store import find_policy

    path = find_policy(run, root)
    from romanesco import api

    chosen = int(seed) if seed.isdigit() else seed
    step = int(checkpoint) if checkpoint.isdigit() else checkpoint
    found = api.attention(path, chosen, step, steps=steps, greedy=not sampled)
    table([[name, " x ".join(map(str, x.shape))] for name, x in found.weights().items()], ["map", "shape"])
    say(f"figure  {found.plot(plot)}")
    if data is not None:
        say(f"data    {found.save(data)}")
