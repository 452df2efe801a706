"""Run folders as numbers: this file only reads them, and works while they are written."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONFIG = "config.yaml"


def read_rows(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole rows of a file of JSON lines -> rows, warnings.

    A last line that is half written waits for its rest, silently. A damaged line (power loss leaves NUL bytes) is
    skipped, with a warning that names file and line.
    """
    if not path.exists():
        return [], []
    rows, warnings = [], []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif number < len(lines):
            warnings.append(f"{path.name} line {number} is damaged and skipped")
    return rows, warnings


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Run:
    """One run folder. What is missing is None or empty: a run may have just begun."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.path / CONFIG).read_text(encoding="utf-8-sig"))

    @functools.cached_property
    def results(self) -> dict[str, Any] | None:
        return _json(self.path / "results.json")

    @functools.cached_property
    def model(self) -> dict[str, Any]:
        return _json(self.path / "model.json") or {}

    @functools.cached_property
    def version(self) -> dict[str, Any]:
        return _json(self.path / "version.json") or {}

    @functools.cached_property
    def command(self) -> str:
        path = self.path / "command.txt"
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    @functools.cached_property
    def _status(self) -> dict[str, Any]:
        return _json(self.path / "status.json") or {}

    @property
    def status(self) -> str:
        """running, finished, interrupted, failed; crashed if it says running but its process is gone."""
        said = self._status.get("status", "unknown")
        if said == "running" and not _alive(self._status.get("pid", 0)):
            return "crashed"
        return said

    @property
    def error(self) -> str | None:
        return self._status.get("error")

    @property
    def steps(self) -> int:
        return int(self._status.get("steps", 0))

    @functools.cached_property
    def _metrics(self) -> tuple[list[dict[str, Any]], list[str]]:
        return read_rows(self.path / "metrics.jsonl")

    @functools.cached_property
    def _evals(self) -> tuple[list[dict[str, Any]], list[str]]:
        return read_rows(self.path / "evals.jsonl")

    @property
    def damage(self) -> list[str]:
        return [f"{self.path}: {text}" for text in (*self._metrics[1], *self._evals[1])]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before trusting the numbers."""
        return self.damage

    @functools.cached_property
    def seeds(self) -> list[int]:
        first = self.config.get("seed", 0)
        return list(range(first, first + self.config.get("seeds", 1)))

    def metrics(self, seed: int) -> list[dict[str, Any]]:
        return sorted((r for r in self._metrics[0] if r.get("seed") == seed), key=lambda r: r["step"])

    def evals(self, seed: int) -> list[dict[str, Any]]:
        """Evaluations of one seed by step; of two at one step the later line counts."""
        rows = {r["step"]: r for r in self._evals[0] if r.get("seed") == seed}
        return [rows[step] for step in sorted(rows)]

    @property
    def task(self) -> str:
        return self.path.resolve().parent.parent.name

    @property
    def agent(self) -> str:
        return self.path.resolve().parent.name

    @property
    def label(self) -> str:
        return f"{self.task}/{self.agent}"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def threshold(self) -> float | None:
        return (self.results or {}).get("threshold")

    def summary(self) -> dict[str, Any]:
        """A row of `romanesco runs`."""
        rows = [r for seed in self.seeds for r in self.metrics(seed)[-1:]]
        returns = [r["rollout/ep_rew_mean"] for r in rows if r.get("rollout/ep_rew_mean") is not None]
        return {
            "name": f"{self.label}/{self.name}",
            "status": self.status,
            "steps": self.steps,
            "total": self.config.get("total_steps"),
            "last_return": sum(returns) / len(returns) if returns else None,
            "age_s": max(0.0, time.time() - (self.path / CONFIG).stat().st_mtime),
        }


def runs_under(root: str | Path) -> list[Run]:
    """Every run below a folder, newest last."""

    def walk(folder: Path) -> Iterator[Path]:
        for here, inner, files in os.walk(folder):
            if CONFIG in files:
                inner.clear()
                yield Path(here)

    return [Run(path) for path in sorted(walk(Path(root)), key=lambda p: (p / CONFIG).stat().st_mtime)]
