"""Curves of runs as small SVG pictures. Matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from romanesco.study.runs import Run
from romanesco.study.stats import band

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "romanesco",
    "path.simplify": True,
    "legend.frameon": False,
}
POINTS = 400  # at most so many points of a training curve are drawn

Series = tuple[np.ndarray, np.ndarray]  # steps [T], values [S T]


def thousands(x: float, _: Any = None) -> str:
    """50k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(x) >= size:
            return f"{x / size:g}{letter}"
    return f"{x:g}"


def series(run: Run, key: str | Callable[[dict], float | None], *, source: str = "metrics") -> Series | None:
    """One quantity over steps, for all seeds -> steps [T] that every seed has, values [S T]; NaN where it is null."""
    read = key if callable(key) else lambda row: row.get(key)
    tables = []
    for seed in run.seeds:
        rows = run.metrics(seed) if source == "metrics" else run.evals(seed)
        points = {r["step"]: read(r) for r in rows}
        if points:
            tables.append(points)
    if not tables:
        return None
    steps = sorted(set.intersection(*(set(t) for t in tables)))
    values = np.array([[np.nan if t[s] is None else t[s] for s in steps] for t in tables], float)
    if not steps or np.isnan(values).all():
        return None
    keep = ~np.isnan(values).any(0)
    steps, values = np.array(steps)[keep], values[:, keep]
    stride = max(1, len(steps) // POINTS)
    return (steps[::stride], values[:, ::stride]) if len(steps) else None


def mean_return(row: dict) -> float | None:
    values = [x for x in row.get("return", []) if x is not None]
    return float(np.mean(values)) if values else None


def mean_success(row: dict) -> float | None:
    values = [x for x in row.get("success", []) if x is not None]
    return float(np.mean(values)) if values else None


def _draw(axes: Any, found: Sequence[tuple[str, Series]], *, threshold: float | None = None, log: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter

    for i, (label, (steps, values)) in enumerate(found):
        color = COLORS[i % len(COLORS)]
        middle, low, high = band(values)
        if len(values) > 1:
            axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
            for one in values:
                axes.plot(steps, one, color=color, alpha=0.25, linewidth=0.6)
        axes.plot(steps, middle, color=color, linewidth=1.8, label=label, marker="o" if len(steps) < 3 else None, ms=4)
    if threshold is not None:
        axes.axhline(threshold, color="#777777", linewidth=0.9, linestyle=(0, (4, 3)))
    if log:
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))


def picture(
    panels: Sequence[tuple[str, Sequence[tuple[str, Series]], dict]], *, columns: int = 1, legend: bool = False
) -> str:
    """Panels (title, [(label, series)], options of a panel) side by side -> SVG text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        height = 3.2 if columns == 1 else 1.9
        figure = Figure(figsize=(9.0, height * rows), layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (title, found, options) in zip(grid, panels, strict=False):
            _draw(axes, found, **options)
            axes.set_title(title)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[max(0, len(panels) - columns) : len(panels)]:
            axes.set_xlabel("environment steps of a seed")
        if legend:
            grid[0].legend(loc="best", fontsize=8)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
