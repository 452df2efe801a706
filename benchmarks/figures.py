"""Draws the figures of the docs from the committed results: `python benchmarks/figures.py [--check]`.

`--check` draws nothing, and exits with 1 where a figure shows other results than those of now.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from romanesco.study.curves import SOFT, pen, picture, thousands

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TITLES = {  # of the families of `curves.py`
    "cartpole": "CartPole without velocities",
    "popgym": "POPGym's RepeatPrevious, easy",
    "mysterypath": "Mystery Path, easy grid",
    "craftax": "Craftax-Classic",
    "craftax_symbolic": "Craftax",
    "atari": "Atari's Boxing, from RAM",
}
Points = list[tuple[float, float, float, float]]  # steps, value, low, high


def rows(table: str) -> list[dict[str, str]]:
    with (RESULTS / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Lengths:
    """Share of right turns of all episodes over the length of the corridor, a line for each memory."""

    title, xlabel = "Episodes that turn right, of ten seeds", "cells of the corridor"

    def __init__(self, shares: dict[str, dict[int, float]]):
        self.shares, self.names = shares, list(shares)

    @classmethod
    def read(cls) -> Lengths:
        found: dict[tuple[str, int], float] = {}
        for row in rows("tmaze_memories"):
            length, memory = row["row"].removeprefix("L ").split(", ")
            if row["metric"].startswith("P("):  # of reaching, and of turning right there
                found[memory, int(length)] = found.get((memory, int(length)), 1.0) * float(row["value"])
        lengths = Counter(memory for memory, _ in found)
        memories = [memory for memory, n in lengths.items() if n > 1]
        return cls({name: {n: x for (memory, n), x in sorted(found.items()) if memory == name} for name in memories})

    def draw(self, axes: Any) -> None:
        from matplotlib.ticker import NullLocator, PercentFormatter

        for i, shares in enumerate(self.shares.values()):
            axes.plot([*shares], [*shares.values()], **pen(i), marker="o", markersize=4)
        axes.axhline(0.5, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
        axes.set_xscale("log", base=2)
        lengths = sorted({n for shares in self.shares.values() for n in shares})
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.set_ylim(0, 1.03)


class Learning:
    """The return of training episodes over steps in one family of worlds, a line for each agent, with its interval."""

    xlabel = "environment steps of a seed"

    def __init__(self, title: str, lines: dict[str, Points], names: list[str]):
        self.title, self.lines, self.names = title, lines, names

    @classmethod
    def read(cls) -> list[Learning]:
        found: dict[str, dict[str, Points]] = {}
        for row in rows("curves"):
            family, arm = row["row"].split(", ")
            if row["metric"].startswith("return at "):
                step = float(row["metric"].removeprefix("return at "))
                values = [float(row[key]) for key in ("value", "low", "high")]
                found.setdefault(family, {}).setdefault(arm, []).append((step, *values))
        names = list(dict.fromkeys(arm for lines in found.values() for arm in lines))  # one color each in all panels
        return [cls(TITLES[family], lines, names) for family, lines in found.items()]

    def draw(self, axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter

        for arm, points in self.lines.items():
            steps, middle, low, high = zip(*points, strict=True)
            look = pen(self.names.index(arm))
            axes.fill_between(steps, low, high, color=look["color"], alpha=0.18, linewidth=0)
            axes.plot(steps, middle, **look)
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))


FIGURES = {"tmaze_lengths": {"width": 7.6}, "learning": {"columns": 2, "height": 2.4}}


def panels_of(figure: str) -> Sequence[Any]:
    return [Lengths.read()] if figure == "tmaze_lengths" else Learning.read()


def mark(panels: Sequence[Any]) -> str:
    """The last line of a figure: what it was drawn from."""
    shown = hashlib.sha256(repr([vars(panel) for panel in panels]).encode()).hexdigest()[:16]
    return f"<!-- drawn from {shown} -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="draw nothing; exit with 1 where a figure is out of date")
    check = parser.parse_args().check
    stale = []
    for name, look in FIGURES.items():
        path, panels = ROOT / "docs" / "_static" / f"{name}.svg", panels_of(name)
        old, end = path.read_text(encoding="utf-8") if path.exists() else "", mark(panels)
        if check:
            current = old.endswith(end)
        else:
            now = picture(panels, **look).rstrip("\n") + "\n" + end
            path.write_text(now, encoding="utf-8")
            current = now == old
        if not current:
            stale.append(path.relative_to(ROOT).as_posix())
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
