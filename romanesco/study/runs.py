"""Run folders as numbers: this file only reads them, and works while they are written."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

CONFIG = "config.yaml"
Row = dict[str, Any]


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """The whole rows of a file of JSON lines -> rows, warnings. A file that is not there has none.

    A last line that is half written waits for its rest, silently. A damaged line (power loss leaves NUL bytes) is
    skipped, with a warning that names file and line, counted from 1.
    """
    if not path.exists():
        return [], []
    rows, warnings = [], []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        row = _object(line)
        if row is not None:
            rows.append(row)
        elif line.strip() and not (number == len(lines) and line.startswith(b"{")):
            warnings.append(f"{path.name} line {number} is damaged and skipped")
    return rows, warnings


def _object(text: bytes) -> Row | None:
    """A JSON object; None for everything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Run:
    """One run folder, read when asked and then kept. What is missing is None or empty: a run may have just begun."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._broken: list[str] = []

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _json(self, name: str) -> Row | None:
        path = self.path / name
        if not path.is_file():
            return None
        value = _object(path.read_bytes())
        if value is None:
            self._broken.append(f"{name} is damaged")
        return value

    def _text(self, name: str) -> str:
        path = self.path / name
        return path.read_text(encoding="utf-8-sig", errors="replace").strip() if path.is_file() else ""

    @cached_property
    def config_text(self) -> str:
        """config.yaml as it stands."""
        return self._text(CONFIG)

    @cached_property
    def config(self) -> dict[str, Any]:
        try:
            value = yaml.safe_load(self.config_text)
        except yaml.YAMLError:
            value = None
        if not isinstance(value, dict):
            self._broken.append(f"{CONFIG} is {'damaged' if self.config_text else 'empty or missing'}")
            return {}
        return value

    @cached_property
    def results(self) -> Row | None:
        return self._json("results.json")

    @cached_property
    def model(self) -> Row:
        return self._json("model.json") or {}

    @cached_property
    def version(self) -> Row:
        return self._json("version.json") or {}

    @cached_property
    def command(self) -> str:
        return self._text("command.txt")

    @cached_property
    def _status(self) -> Row:
        return self._json("status.json") or {}

    @property
    def status(self) -> str:
        """running, finished, interrupted or failed; crashed if it says running but its process is gone."""
        said = str(self._status.get("status", "unknown"))
        return "crashed" if said == "running" and not _alive(self._status.get("pid")) else said

    @property
    def error(self) -> str | None:
        return self._status.get("error")

    @property
    def steps(self) -> int:
        return int(self._status.get("steps") or 0)

    @property
    def total(self) -> int | None:
        return self.config.get("total_steps")

    @cached_property
    def _metrics(self) -> tuple[dict[int, list[Row]], list[str]]:
        rows, warnings = read_rows(self.path / "metrics.jsonl")
        return _by_seed(rows), warnings

    @cached_property
    def _evals(self) -> tuple[dict[int, list[Row]], list[str]]:
        rows, warnings = read_rows(self.path / "evals.jsonl")
        return _by_seed(rows), warnings

    @property
    def warnings(self) -> list[str]:
        """What of the folder cannot be read, each once."""
        damaged = [*self._metrics[1], *self._evals[1]]
        _ = self.config, self.results, self.model, self.version, self._status
        return [f"{self.name}: {text}" for text in (*damaged, *self._broken)]

    @cached_property
    def seeds(self) -> list[int]:
        first = self.config.get("seed") or 0
        return list(range(first, first + (self.config.get("seeds") or 1)))

    @property
    def mode(self) -> str:
        """How actions were chosen in the evaluations along the way."""
        return str((self.config.get("eval") or {}).get("mode") or "greedy")

    def metrics(self, seed: int) -> list[Row]:
        """Training rows of one seed by step; of two at one step the later line counts."""
        return self._metrics[0].get(seed, [])

    def evals(self, seed: int, mode: str | None = None) -> list[Row]:
        """Evaluations of one seed by step, of all modes or of one; of two alike the later line counts."""
        return [row for row in self._evals[0].get(seed, []) if mode in (None, row.get("mode"))]

    @property
    def task(self) -> str:
        return str((self.results or {}).get("task") or self.path.resolve().parent.parent.name)

    @property
    def agent(self) -> str:
        return str((self.results or {}).get("agent") or self.path.resolve().parent.name)

    @property
    def label(self) -> str:
        return f"{self.task}/{self.agent}"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def threshold(self) -> float | None:
        return (self.results or {}).get("threshold")

    @property
    def last_returns(self) -> list[float]:
        """The latest training return of each seed that has finished an episode."""
        key = "rollout/ep_rew_mean"
        known = [[r[key] for r in self.metrics(seed) if r.get(key) is not None] for seed in self.seeds]
        return [values[-1] for values in known if values]

    def summary(self) -> dict[str, Any]:
        """A row of `romanesco runs`. `last_return` is the mean over seeds of the last training return."""
        last = self.last_returns
        return {
            "name": f"{self.label}/{self.name}",
            "status": self.status,
            "steps": self.steps,
            "total": self.total,
            "last_return": sum(last) / len(last) if last else None,
            "age_s": max(0.0, time.time() - _begun(self.path)),
        }


def _by_seed(rows: list[Row]) -> dict[int, list[Row]]:
    """Rows of each seed, by step and mode; rows without a seed and a step are nobody's."""
    found: dict[int, dict[tuple[int, str], Row]] = defaultdict(dict)
    for row in rows:
        seed, step = row.get("seed"), row.get("step")
        if isinstance(seed, int) and isinstance(step, int):
            found[seed][step, str(row.get("mode"))] = row
    return {seed: [table[at] for at in sorted(table)] for seed, table in found.items()}


def _begun(path: Path) -> float:
    try:
        return (path / CONFIG).stat().st_mtime
    except OSError:  # moved away meanwhile
        return time.time()


def runs_under(root: str | Path) -> list[Run]:
    """Every run at or below a folder, wherever it lies, newest last. A run's own folders are not searched."""

    def walk(folder: Path) -> Iterator[Path]:
        for here, inner, files in os.walk(folder):
            if CONFIG in files:
                inner.clear()
                yield Path(here)

    return [Run(path) for path in sorted(walk(Path(root)), key=lambda path: (_begun(path), path))]
