"""Curves of runs as small SVG pictures. Matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from romanesco.study.runs import Row, Run
from romanesco.study.stats import band

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
INK, SOFT = "#333333", "#777777"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.formatter.useoffset": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "figure.facecolor": "none",
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "lines.solid_joinstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "romanesco",
    "text.parse_math": False,  # a `$` in a name is a dollar
}
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))  # when the colors are used up
POINTS = 300  # at most so many points of a curve are drawn
LEAST = 1e-9  # what a logarithmic axis shows for 0

Curves = tuple[np.ndarray, np.ndarray]  # steps [T], values [S T], NaN before a seed's first value and after its last
Reader = Callable[[Row], float | None]


class Drawable(Protocol):
    """What `picture` gives a set of axes: a title, a label below, and named things in the colors of `pen`."""

    @property
    def title(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def xlabel(self) -> str: ...
    def draw(self, axes: Any) -> None: ...


@dataclass(frozen=True)
class Panel:
    """Named curves over steps, with their bands, and how to show them."""

    title: str
    curves: Sequence[tuple[str, Curves]]
    line: float | None = None  # dashed: a threshold or a limit
    log: bool = False
    percent: bool = False
    limits: tuple[float, float] | None = None
    xlabel: str = "environment steps of a seed"

    @property
    def names(self) -> Sequence[str]:
        return [name for name, _ in self.curves]

    def draw(self, axes: Any) -> None:
        _draw(axes, self)


def thousands(x: float, _: Any = None) -> str:
    """50k, 1.5M: a number to three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(x) >= 0.9995 * size:
            return f"{x / size:.3g}{letter}"
    return f"{x:.3g}"


def mean_of(key: str) -> Reader:
    """Mean over the episodes of an evaluation of one of its lists, `return` or `success`; None without any."""

    def read(row: Row) -> float | None:
        values = [x for x in row.get(key) or [] if x is not None]
        return float(np.mean(values)) if values else None

    return read


def curves_of(run: Run, read: Reader, *, source: str = "metrics", points: int = POINTS) -> Curves | None:
    """One quantity over steps, for all seeds that have it, on common steps; None if no seed has.

    Between two values of a seed it is interpolated: nulls (no episode ended) are gaps that a line bridges.
    """
    rows = [run.metrics(seed) if source == "metrics" else run.evals(seed, run.mode) for seed in run.seeds]
    known = [[(row["step"], x) for row in found if isinstance(x := read(row), (int, float))] for found in rows]
    tables = [np.array(seed, float).T for seed in known if seed]
    if not tables:
        return None
    steps = np.unique(np.concatenate([steps for steps, _ in tables]))
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, min(len(steps), points)).round().astype(int))]
    return steps, np.array([np.interp(steps, *table, left=np.nan, right=np.nan) for table in tables])


def pen(i: int) -> dict[str, Any]:
    """How the i-th name is drawn in every panel."""
    return {"color": COLORS[i % len(COLORS)], "linestyle": DASHES[i // len(COLORS) % len(DASHES)], "linewidth": 1.8}


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

    for i, (_, (steps, values)) in enumerate(panel.curves):
        color = COLORS[i % len(COLORS)]
        values = np.maximum(values, LEAST) if panel.log else values
        middle, low, high = band(values)
        if len(values) > 1:
            axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(steps, values.T, color=color, alpha=0.3, linewidth=0.6)
        dots = {"marker": "o", "markersize": 2.5} if len(steps) <= 30 else {}
        axes.plot(steps, middle, **pen(i), **dots)
    if panel.line is not None:
        axes.axhline(panel.line, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    if panel.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0e}".replace("e-0", "e-")))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if panel.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if panel.limits:
        axes.set_ylim(*panel.limits)
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))


def picture(
    panels: Sequence[Drawable], *, width: float = 9.0, height: float = 3.2, columns: int = 1, legend: bool = True
) -> str:
    """Panels in rows -> SVG text of `width` inches, `height` a row; a `legend` above where there are several curves."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = -(-len(panels) // columns)
    names = {label: i for panel in panels for i, label in enumerate(panel.names)}
    wide = 0.6 + 0.085 * max(map(len, names), default=0)  # inches of an entry of the legend
    lines = -(-len(names) // (across := max(1, int(width // wide))))
    above = 0.12 + 0.2 * lines if legend and len(names) > 1 else 0.0
    tall = rows * height + above
    out = io.StringIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, tall))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for i, (axes, panel) in enumerate(zip(grid, panels, strict=False)):
            panel.draw(axes)
            axes.set_title(panel.title)
            below = panels[i + columns].xlabel if i + columns < len(panels) else None
            if panel.xlabel != below:
                axes.set_xlabel(panel.xlabel)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        if above:
            samples = [Line2D([], [], **pen(i)) for i in names.values()]
            figure.legend(samples, [*names], loc="upper left", ncols=across)
        figure.subplots_adjust(  # by hand: an automatic layout takes as long as all the drawing
            0.62 / width, 0.48 / tall, 1 - 0.1 / width, 1 - (0.28 + above) / tall, wspace=0.36, hspace=0.55
        )
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _slim(out.getvalue(), ", ".join(panel.title for panel in panels))


def _slim(svg: str, title: str) -> str:
    """The <svg> element alone, with a name for screen readers, and coordinates to a tenth of a unit."""
    svg = re.sub(r' d="[^"]*"', lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), svg[svg.index("<svg") :])
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
