"""One self-contained page about a run, or about several, with its figures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.study.curves import Curves, Panel, Reader, curves_of, mean_of, picture
from romanesco.study.labels import labels_of
from romanesco.study.page import halves, page
from romanesco.study.runs import Run
from romanesco.study.verdict import off_policy_limit

SMALL = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "explained_variance", "grad_norm",
         "learning_rate", "off_policy")  # fmt: skip
SIDE: dict[str, Any] = {"width": 4.5, "height": 3.0}  # inches of a figure that has half the page


def figures(runs: Sequence[Run]) -> dict[str, str]:
    """name -> SVG of what these runs have to show."""
    labels = labels_of(runs)

    def found(read: Reader, **how: Any) -> list[tuple[str, Curves]]:
        all_of = [(label, curves_of(run, read, **how)) for label, run in zip(labels, runs, strict=True)]
        return [(label, curves) for label, curves in all_of if curves is not None]

    line = runs[0].threshold if len({run.threshold for run in runs}) == 1 else None
    success = Panel("Evaluation success", found(mean_of("success"), source="evals"), percent=True, limits=(-0.04, 1.04))
    panels = {
        "evaluation": Panel("Evaluation return", found(mean_of("return"), source="evals"), line),
        "success": success,
        "training": Panel("Training return", found(lambda row: row.get("rollout/ep_rew_mean")), line),
    }
    panels = {name: panel for name, panel in panels.items() if panel.curves}
    made = {}
    for name, panel in panels.items():
        made[name] = picture([panel], legend=not made, **(SIDE if name in halves(panels) else {}))
    small = []
    for name in SMALL:
        limit = max(map(off_policy_limit, runs)) if name == "off_policy" else None
        curves = found(lambda row, key=f"train/{name}": row.get(key), points=120)
        limits = (-1.05, 1.05) if name == "explained_variance" else None
        small.append(Panel(name, curves, line=limit, log=limit is not None, limits=limits))
    if small := [panel for panel in small if panel.curves]:
        made["learning"] = picture(small, height=1.9, columns=3)
    return made


def _place(runs: Sequence[Run]) -> Path:
    """RUN/report.html of one run; of several reports/<stamp>.html beside the folder of runs they share, else here."""
    if len(runs) == 1:
        return runs[0].path / "report.html"
    roots = {run.path.resolve().parents[2] for run in runs if len(run.path.resolve().parents) > 2}
    folder = (roots.pop().parent if len(roots) == 1 else Path.cwd()) / "reports"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (folder / f"{stamp}{f'-{i}' if i else ''}.html" for i in count())
    return next(path for path in names if not path.exists())


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def report(runs: Sequence[Run], to: str | Path | None = None) -> Path:
    """Writes the page -> its path: RUN/report.html with RUN/figures/*.svg; of several runs reports/<stamp>.html.

    With `to` only that file is written.
    """
    path = _place(runs) if to is None else Path(to)
    if path.is_dir():
        raise BadInput(f"to={path}: a folder; name a file, like {path / 'report.html'}")
    pictures = figures(runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(runs) == 1 and to is None:
        (path.parent / "figures").mkdir(exist_ok=True)
        for name, svg in pictures.items():
            _write(path.parent / "figures" / f"{name}.svg", svg)
    _write(path, page(runs, pictures))
    return path
