"""Seeds that run side by side: their states, their scores, and what a checkpoint keeps of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from romanesco.core.mesh import deal
from romanesco.lab import store
from romanesco.lab.guard import dump
from romanesco.lab.store import RunFolder, Score, SeedResult
from romanesco.lab.windows import Windows
from romanesco.learn import train

if TYPE_CHECKING:
    from romanesco.lab.host import HostPrograms
    from romanesco.lab.initial import Source
    from romanesco.lab.programs import Programs

CHUNK_SECONDS = 2.0
EVALUATION = 0x65766131  # evaluation draws from a key of its own, the same at every evaluation and for every agent
FRESH = 0x66726573  # and the absolute metric from another
SHARE = {"greedy": True, "sampled": False}


class Group:
    """The seeds of one group, from their first update to their results."""

    def __init__(self, programs: Programs | HostPrograms, folder: RunFolder, seeds: Sequence[int], name: str | None):
        self.programs, self.folder, self.seeds, self.name = programs, folder, list(seeds), name
        self.config = programs.config
        self.keys = programs.keys(self.seeds)
        self.setups = deal([programs.setup] * len(self.seeds), programs.devices)
        self.update, self.evaluated, self.seconds = 0, -1, 0.0
        self.resumes = 0
        self.frozen: dict[int, int] = {}  # index of a seed -> update that was not finite
        self.curves: list[list[list[float]]] = [[] for _ in self.seeds]  # of each seed: [step, mean return]
        self.best: list[Any] = [None] * len(self.seeds)
        self.windows = self._windows([None] * len(self.seeds))
        self.pace = 0.0  # updates a second; not known before the first chunk, which is one update
        self.states: list[train.State] = []

    def _windows(self, states: Sequence[Any]) -> list[Windows]:
        ends, size = self.config.targets(int(self.config.log.every)), self.config.steps_per_update
        return [Windows(seed, ends, size, state) for seed, state in zip(self.seeds, states, strict=True)]

    @property
    def step(self) -> int:
        return self.update * self.config.steps_per_update

    @property
    def active(self) -> list[int]:
        """Indices of the seeds that go on."""
        return [i for i in range(len(self.seeds)) if i not in self.frozen]

    def _of(self, items: Sequence[Any]) -> list[Any]:
        """Those of the seeds that are called: all on an accelerator, whose program has an axis for each."""
        return list(items) if self.programs.batched else [items[i] for i in self.active]

    # --- beginning, saving

    def begin(self, source: Source | None = None) -> None:
        self.states = self.programs.begin(self.keys, self.setups)
        if source is not None:
            self.states = [source.begin(*seed) for seed in zip(self.seeds, self.states, strict=True)]

    def restore(self, *, strict: bool = False) -> list[str]:
        """Takes up the newest sound checkpoint -> notes on damaged ones."""
        like = [self.programs.like] * len(self.seeds)
        states, saved, _, notes = store.restore(self.folder.path, like, strict=strict, group=self.name)
        self.resumes = saved.get("resumes", 0) + 1
        self.states = self.programs.take_up(self.keys, states, self.resumes)
        self.update, self.evaluated, self.seconds = saved["update"], saved["evaluated"], saved["seconds"]
        self.offsets: dict[str, int] = saved["offsets"]
        self.frozen = {int(i): update for i, update in saved["frozen"].items()}
        self.curves, self.windows = saved["curves"], self._windows(saved["windows"])
        if any(self.curves):
            like = [self.programs.like.learner.actor] * len(self.seeds)
            self.best = store.restore(self.folder.path, like, checkpoint="best", group=self.name)[0]
        return notes

    def save(self) -> None:
        """Raises `DiskFull`; then the checkpoint before it still stands."""
        counters = {
            "seeds": self.seeds,
            "update": self.update,
            "evaluated": self.evaluated,
            "seconds": self.seconds,
            "resumes": self.resumes,
            "frozen": self.frozen,
            "curves": self.curves,
            "windows": [w.state for w in self.windows],
        }
        keep = self.config.checkpoint.keep
        store.save(self.folder.path, self.step, self.states, counters, keep=keep, group=self.name)

    # --- training

    def advance(self, border: int) -> tuple[list[dict[str, Any]], list[str]]:
        """One chunk, at most up to update `border` -> complete rows of metrics, errors of seeds that broke."""
        count = max(1, min(border - self.update, self.programs.room, int(self.pace * CHUNK_SECONDS)))
        began = time.monotonic()
        shared = (self.update, count, self.config.num_updates)
        called = self._of(range(len(self.seeds)))
        done = self.programs.chunk(*(self._of(x) for x in (self.keys, self.states, self.setups)), shared=shared)
        rows, errors = [], []
        for i, (state, metrics) in zip(called, done, strict=True):
            self.states[i] = state
            if i not in self.frozen:
                rows += self._rows(i, metrics, count, errors)
        self.seconds += (spent := time.monotonic() - began)
        self.pace = count / spent
        self.update += count
        size = self.config.steps_per_update
        for row in rows:
            row |= {"time": self.seconds, "time/fps": len(self.active) * count * size / spent}
        return sorted(rows, key=lambda row: (row["step"], row["seed"])), errors

    def _rows(self, i: int, metrics: Mapping[str, Any], count: int, errors: list[str]) -> list[dict[str, Any]]:
        failed = int(self.states[i].failed)
        if failed >= 0:
            self.frozen[i] = failed
            errors.append(self._explain(i, failed))
            count = failed - self.update
        return self.windows[i].add(self.update, jax.device_get(metrics), count)

    def _explain(self, i: int, failed: int) -> str:
        """The error that a frozen seed is reported with; its rollout goes to `nan/`."""
        said = f"seed {self.seeds[i]}: update {failed} is not finite"
        found = self.programs.first_bad(self.keys[i], self.states[i], self.setups[i], failed, self.config.num_updates)
        if found is None:
            return f"{said}; run again piece by piece, all its numbers are finite"
        tensor, bad, size, rollout = found
        leaves = jax.tree_util.tree_leaves_with_path(rollout)
        arrays = {jax.tree_util.keystr(path).lstrip("."): np.asarray(x) for path, x in leaves}
        path = dump(self.folder.path, self.seeds[i], failed, arrays)
        return f"{said}: the first bad tensor is {tensor} ({bad} of {size} numbers); its rollout is in {path}"

    # --- judging

    def play(self, actors: Sequence[Any], *, episodes: int, greedy: bool, tag: int = EVALUATION) -> list[dict]:
        """Episodes of the called seeds -> one dict of NumPy arrays [episodes] each."""
        number = self.update if self.programs.fresh_evaluations else 0
        key = jax.random.fold_in(jax.random.key(tag), number)
        keys = self._of(deal([key] * len(self.seeds), self.programs.devices))
        envs = self._of([s.env for s in self.setups])
        tables = jax.device_get(self.programs.player(keys, envs, list(actors), shared=(episodes, greedy)))
        return [{name: column[:episodes] for name, column in table.items()} for table in tables]

    def evaluate(self) -> list[dict[str, Any]]:
        """The evaluation due now -> rows of evals.jsonl; keeps the best policies. The last one is longer."""
        last = self.update == self.config.num_updates
        episodes = self.config.eval.final_episodes if last else self.config.eval.episodes
        mode = "greedy" if last else self.config.eval.mode
        actors = self._of([s.learner.actor for s in self.states])
        rows, improved = [], False
        tables = self.play(actors, episodes=episodes, greedy=SHARE[mode])
        for i, table in zip(self._of(range(len(self.seeds))), tables, strict=True):
            if i in self.frozen:
                continue
            mean = float(np.float32(np.mean(table["return"])))
            if not self.curves[i] or mean > max(score for _, score in self.curves[i]):
                self.best[i], improved = jax.device_get(self.states[i].learner.actor), True
            self.curves[i].append([self.step, mean])
            rows.append(eval_row(self.seeds[i], self.step, mode, table))
        if improved and all(x is not None for x in self.best):
            steps = {str(seed): best_step(curve) for seed, curve in zip(self.seeds, self.curves, strict=True)}
            store.save_best(self.folder.path, self.best, {"step": steps}, group=self.name)
        self.evaluated = self.update
        return rows

    def judge(self, threshold: float | None) -> list[SeedResult]:
        """The results of all seeds, frozen ones included: the final policy greedy and sampled, the best one afresh."""
        final = [s.learner.actor for s in self.states]
        best = [b if b is not None else f for b, f in zip(self.best, final, strict=True)]
        best = deal(best, self.programs.devices)
        long, check = self.config.eval.final_episodes, self.config.eval.fresh_episodes
        played = zip(
            self._of(range(len(self.seeds))),
            self.play(self._of(final), episodes=long, greedy=True),
            self.play(self._of(final), episodes=long, greedy=False),
            self.play(self._of(best), episodes=check, greedy=True, tag=FRESH),
            strict=True,
        )
        scores = {i: [score(table) for table in tables] for i, *tables in played}
        return [self._result(i, scores, threshold) for i in range(len(self.seeds))]

    def _result(self, i: int, scores: dict[int, list[Score]], threshold: float | None) -> SeedResult:
        seed, curve = self.seeds[i], self.curves[i]
        solved = [step for step, mean in curve if threshold is not None and mean >= threshold]
        known: dict[str, Any] = {
            "best_step": best_step(curve),
            "steps_to_threshold": int(solved[0]) if solved else None,
        }
        if i in self.frozen:
            return SeedResult(seed, None, frozen_at=self.frozen[i] * self.config.steps_per_update, **known)
        greedy, sampled, absolute = scores[i]
        return SeedResult(seed, greedy, sampled, absolute, **known)


def best_step(curve: Sequence[Sequence[float]]) -> int | None:
    """The first step of the highest mean return."""
    return int(max(curve, key=lambda point: point[1])[0]) if curve else None


def eval_row(seed: int, step: int, mode: str, table: dict[str, np.ndarray]) -> dict[str, Any]:
    """A row of evals.jsonl: the episodes of one seed, in order; `env_seed` numbers their starts."""
    n = len(table["return"])
    columns = {"success": [None] * n, **{name: column.tolist() for name, column in table.items()}}
    return {"seed": seed, "step": step, "mode": mode, **columns, "env_seed": list(range(n))}


def score(table: dict[str, Any]) -> Score:
    """Mean return, episodes and rates of a row or table of episodes."""

    def rate(name: str) -> float | None:
        known = [x for x in table.get(name, []) if x is not None]
        return float(np.mean(known)) if known else None

    return Score(float(np.mean(table["return"])), len(table["return"]), rate("success"), rate("reached"))
