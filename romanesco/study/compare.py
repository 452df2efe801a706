"""What a comparison tells its reader: sentences, plain numbers, a picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from romanesco.study import pairs
from romanesco.study.arms import Arm
from romanesco.study.claims import pair_sentence, sentences
from romanesco.study.dots import draw
from romanesco.study.pairs import LEVEL


@dataclass(frozen=True)
class Comparison(pairs.Comparison):
    """Arms, all their pairs, and what limits both. `print(comparison)` says it; `plot` draws it; `as_json` lists it."""

    def __str__(self) -> str:
        return "\n".join(sentences(self))

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, texts and lists: strict JSON, without NaN."""
        said = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "sources"}
        told = {key: _plain(x) for key, x in said.items()}
        for pair, found in zip(told["pairs"], self.pairs, strict=True):
            pair["sentence"] = pair_sentence(self, found)
        return {"version": 1, **told, "level": LEVEL, "sentences": sentences(self)}

    def plot(self, path: str | Path) -> Path:
        """Writes an SVG: every seed, IQM and interval; curves and shares solved where there are runs."""
        return draw(self, Path(path))


def _plain(x: Any) -> Any:
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: _plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    return x


def compare(
    arms: Sequence[Arm], *, margin: float | None = None, allow_mismatch: bool = False, against: str | None = None,
    seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compares every two of the arms, or all with one of them, as `pairs.compared` does, for a reader."""
    found = pairs.compared(arms, margin=margin, allow_mismatch=allow_mismatch, against=against, seed=seed)
    return Comparison(**{f.name: getattr(found, f.name) for f in dataclasses.fields(found)})
