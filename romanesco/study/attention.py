"""Attention of an agent as a picture and a file. T time, B streams, L layers, H heads, Nq queries, Nk tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from romanesco.core.errors import BadInput
from romanesco.study.curves import STYLE

PICTURES = (".svg", ".png", ".pdf")
LABELS = 24  # more tokens than these are not named
OVER_STEPS = ("memory/attention", "memory/signed")
NOT_WEIGHTS = ("memory/before", "memory/values", "memory/read")


@dataclass(frozen=True)
class Row:
    """One layer of one map, a picture a head."""

    label: str
    heads: Float[np.ndarray, "H rows columns"]
    xlabel: str
    names: Sequence[str] = ()  # of what a picture's rows are


@dataclass(frozen=True)
class Attention:
    """The maps of `agent.maps.maps` [T B ...], where episodes start, and what the tokens are called."""

    maps: Mapping[str, np.ndarray]
    first: Bool[np.ndarray, "T B"]
    tokens: tuple[str, ...] = ()
    seed: int | None = None

    def weights(self) -> dict[str, np.ndarray]:
        """The maps that are weights."""
        return {name: x for name, x in self.maps.items() if name not in NOT_WEIGHTS}

    def plot(self, path: str | Path) -> Path:
        """Writes an SVG, PNG or PDF of the first stream's first episode: a row a layer, a column a head.

        Light is 0; where weights are below 0, blue is, and red above. Maps of one query have a column a step, maps of
        several queries are means over steps; what is read is a row, but of memories, whose rows are steps that read.
        """
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        to = _writable(path, PICTURES)
        rows = [row for name, x in self.weights().items() for row in self._rows(name, x)]
        across = max(len(row.heads) for row in rows)
        with rc_context(STYLE):
            size = 1.2 + 2.1 * across, 0.3 + 1.9 * len(rows)
            figure = Figure(figsize=size, layout="constrained", facecolor="white")
            for row, line in zip(rows, figure.subplots(len(rows), across, squeeze=False), strict=True):
                for h, axes in enumerate(line):
                    if h < len(row.heads):
                        _draw(axes, row, h)
                    else:
                        axes.set_axis_off()
            figure.savefig(to, dpi=150, metadata={"Date": None} if to.suffix.lower() == ".svg" else None)
        return to

    def _rows(self, name: str, x: np.ndarray) -> Iterator[Row]:
        starts = np.flatnonzero(self.first[1:, 0])
        length = int(starts[0]) + 1 if len(starts) else len(self.first)
        over_steps = name in OVER_STEPS
        layers = x[0, ..., :length, :length] if over_steps else np.moveaxis(x[:length, 0], 0, 2)  # [L H T ..]
        for n, layer in enumerate(layers, 1):
            label = f"{name}\nlayer {n}" if len(layers) > 1 else name
            if over_steps:
                yield Row(label, layer, "step that is read")
            elif layer.shape[-2] == 1:
                yield Row(label, layer[..., 0, :].swapaxes(1, 2), "step", self._called(name, layer.shape[-1]))
            else:
                read = layer.mean(1).swapaxes(1, 2)
                yield Row(label, read, "token that reads, mean over steps", self._called(name, layer.shape[-1]))

    def _called(self, name: str, count: int) -> Sequence[str]:
        """The names of as many tokens that are read; none where these are learned queries."""
        if "encoder/read" in self.maps and name != "encoder/read":
            return ()
        return {len(self.tokens): self.tokens, len(self.tokens) + 1: [*self.tokens, "summary"]}.get(count, ())

    def save(self, path: str | Path) -> Path:
        """Writes an npz of all maps, `first` [T B] and `tokens`."""
        to = _writable(path, (".npz",))
        held: dict[str, Any] = {**self.maps, "first": self.first, "tokens": np.array(self.tokens, dtype=str)}
        np.savez_compressed(to, **held)
        return to


def _draw(axes: Any, row: Row, h: int) -> None:
    weights = row.heads[h]
    least, most = min(float(weights.min()), 0.0), float(np.abs(weights).max()) or 1.0
    colors = (
        {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if least < 0 else {"cmap": "Blues", "vmin": 0, "vmax": most}
    )
    image = axes.imshow(weights, aspect="auto", interpolation="nearest", **colors)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, ticks=[-most if least < 0 else 0, most])
    bar.ax.set_yticklabels([f"{-most:.2g}" if least < 0 else "0", f"{most:.2g}"], fontsize=6)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(labelsize=6, length=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_title(f"head {h + 1}", fontsize=7, fontweight="normal")
    axes.set_xlabel(row.xlabel, fontsize=7)
    if row.names and len(row.names) <= LABELS:
        axes.set_yticks(range(len(row.names)), row.names if h == 0 else [])
    if h == 0:
        axes.set_ylabel(row.label, fontsize=8, fontweight="bold")


def _writable(path: str | Path, suffixes: Sequence[str]) -> Path:
    to = Path(path)
    if to.suffix.lower() not in suffixes:
        raise BadInput(f"{to}: name a file that ends in {', '.join(suffixes)}")
    if to.is_dir():
        raise BadInput(f"{to}: a folder; name a file in it")
    to.parent.mkdir(parents=True, exist_ok=True)
    return to
