"""A comparison as a picture: every seed, intervals, profiles, curves, shares solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romanesco.core.errors import BadInput
from romanesco.study.curves import SOFT, Curves, Drawable, Panel, curves_of, mean_of, pen, picture, thousands
from romanesco.study.pairs import Comparison
from romanesco.study.stats import performance_profile
from romanesco.study.summary import Summary
from romanesco.study.survival import Times, kaplan_meier

POINTS = 200  # of a profile


@dataclass(frozen=True)
class Dots:
    """A row an arm: a dot a seed, the IQM as a line, its interval as a bar."""

    title: str
    xlabel: str
    arms: Sequence[Summary]

    @property
    def names(self) -> Sequence[str]:
        return [arm.name for arm in self.arms]

    def draw(self, axes: Any) -> None:
        for i, arm in enumerate(self.arms):
            color, row = pen(i)["color"], -i
            apart = np.linspace(-0.16, 0.16, arm.n) if arm.n > 1 else np.zeros(1)
            axes.plot(list(arm.scores.values()), row + apart, "o", color=color, alpha=0.55, markersize=3.5)
            if arm.interval:
                axes.plot(arm.interval, [row, row], color=color, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axes.plot([arm.iqm, arm.iqm], [row - 0.28, row + 0.28], color=color, linewidth=2)
        axes.set_ylim(-len(self.arms) + 0.4, 0.6)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")


@dataclass(frozen=True)
class Profiles:
    """Share of the seeds above each score (Agarwal et al., 2021), with its band."""

    title: str
    xlabel: str
    arms: Sequence[Summary]

    @property
    def names(self) -> Sequence[str]:
        return [arm.name for arm in self.arms]

    def draw(self, axes: Any) -> None:
        low, high = min(arm.worst for arm in self.arms), max(arm.best for arm in self.arms)
        at = np.linspace(low - 0.03 * (high - low or 1), high + 0.03 * (high - low or 1), POINTS)
        for i, arm in enumerate(self.arms):
            share, below, above = performance_profile(list(arm.scores.values()), at)
            if arm.n > 1:
                axes.fill_between(at, below, above, step="mid", color=pen(i)["color"], alpha=0.18, linewidth=0)
            axes.step(at, share, where="mid", **pen(i))
        _shares(axes)


@dataclass(frozen=True)
class Solved:
    """Share of the seeds that have reached the threshold, over steps: 1 minus the Kaplan-Meier curve."""

    title: str
    arms: Sequence[Summary]
    xlabel: str = Panel.xlabel

    @property
    def names(self) -> Sequence[str]:
        return [arm.name for arm in self.arms]

    def draw(self, axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter

        for i, arm in enumerate(self.arms):
            if arm.efficiency:
                end = arm.efficiency.steps
                at, left = kaplan_meier(Times.of(arm.efficiency.times, end))
                share = np.concatenate([[0.0], 1 - left, [1 - left[-1] if len(left) else 0.0]])
                axes.step(np.concatenate([[0.0], at, [end]]), share, where="post", **pen(i))
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        _shares(axes)


def _shares(axes: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_ylim(-0.04, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.axhline(0, color=SOFT, linewidth=0.6, zorder=1)


def panels(told: Comparison) -> list[Drawable]:
    """What there is to draw: seeds and profile always, curves and shares solved where all arms are runs with them."""
    unit = f"final {told.unit}"
    drawn: list[Drawable] = [Dots("Every seed, IQM and interval", unit, told.arms),
                             Profiles("Share of seeds above", unit, told.arms)]  # fmt: skip
    read = mean_of("return")
    found = [(arm.name, curves_of(arm.run, read, source="evals")) for arm in told.sources if arm.run]
    curves: list[tuple[str, Curves]] = [(name, one) for name, one in found if one is not None]
    if len(curves) == len(told.arms):
        lines = {arm.about.get("threshold") for arm in told.sources}
        drawn.append(Panel("Evaluation return", curves, lines.pop() if len(lines) == 1 else None))
    if all(arm.efficiency for arm in told.arms):
        drawn.append(Solved("Share of seeds at the threshold", told.arms))
    return drawn


def draw(told: Comparison, path: Path) -> Path:
    """Writes the SVG -> its path."""
    if path.suffix.lower() != ".svg":
        raise BadInput(f"plot={path}: an SVG is written; name a file that ends in .svg")
    if path.is_dir():
        raise BadInput(f"plot={path}: a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture(panels(told), columns=2, height=2.7), encoding="utf-8")
    return path
