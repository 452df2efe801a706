"""Rows of metrics: each sums up a fixed range of updates, wherever chunks and interruptions fall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NAMES = {"return": "ep_rew_mean", "length": "ep_len_mean", "success": "success_rate"}


class Windows:
    """The metrics of one seed's updates, gathered until a row is due.

    A row holds means of `train/*` over its updates, the largest `train/off_policy`, and means of `rollout/*` over the
    episodes that ended (null where none did). `state` and the constructor's `state` are JSON, for checkpoints.
    """

    def __init__(self, seed: int, ends: Sequence[int], steps_per_update: int, state: Mapping[str, Any] | None = None):
        self.seed, self.ends, self.steps_per_update = seed, set(ends), steps_per_update
        state = state or {}
        self.idle: int = state.get("idle", 0)  # steps at a `last`, whose action nobody heeds
        self.pending: list[dict[str, float]] = list(state.get("pending", []))

    @property
    def state(self) -> dict[str, Any]:
        return {"idle": self.idle, "pending": self.pending}

    def add(self, first: int, updates: Mapping[str, np.ndarray], count: int) -> list[dict[str, Any]]:
        """Metrics [room] of `count` updates from number `first` on -> the rows that are complete now."""
        rows = []
        columns = {name: column[:count].tolist() for name, column in updates.items()}
        for i in range(count):
            self.pending.append({name: column[i] for name, column in columns.items()})
            self.idle += int(columns["idle"][i])
            if first + i + 1 in self.ends:
                rows.append(self._row(first + i + 1))
                self.pending = []
        return rows

    def _row(self, update: int) -> dict[str, Any]:
        step = update * self.steps_per_update
        names = {name: None for u in self.pending for name in u}  # a host may tell of `success` late
        total = {name: math.fsum(u.get(name, 0.0) for u in self.pending) for name in names}
        episodes = total["episodes"]
        row: dict[str, Any] = {"step": step, "live_step": step - self.idle, "seed": self.seed, "update": update}
        row["rollout/episodes"] = int(episodes)
        for name in total:
            kind, _, metric = name.partition("/")
            if kind == "sum":
                row[f"rollout/{NAMES.get(metric, metric)}"] = total[name] / episodes if episodes else None
            elif kind == "train":
                row[name] = total[name] / len(self.pending)
        row["train/off_policy"] = max(u["train/off_policy"] for u in self.pending)
        return row
