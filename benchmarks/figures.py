"""Draws the figures of the docs from the committed results: `python benchmarks/figures.py`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from romanesco.study.curves import SOFT, pen, picture

ROOT = Path(__file__).resolve().parent.parent
TMAZE = ROOT / "benchmarks" / "results" / "tmaze_memories.csv"


class Lengths:
    """Share of right turns of all episodes over the length of the corridor, a line for each memory."""

    title, xlabel = "Episodes that turn right, of ten seeds", "cells of the corridor"

    def __init__(self, shares: dict[str, dict[int, float]]):
        self.shares, self.names = shares, list(shares)

    @classmethod
    def read(cls, path: Path) -> Lengths:
        found: dict[tuple[str, int], float] = {}
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                length, memory = row["row"].removeprefix("L ").split(", ")
                if row["metric"].startswith("P("):  # of reaching, and of turning right there
                    found[memory, int(length)] = found.get((memory, int(length)), 1.0) * float(row["value"])
        memories = dict.fromkeys(memory for memory, _ in found)
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


def main() -> None:
    path = ROOT / "docs" / "_static" / "tmaze_lengths.svg"
    path.write_text(picture([Lengths.read(TMAZE)], width=7.6), encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
