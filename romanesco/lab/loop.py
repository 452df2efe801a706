"""The one impure loop: it trains, evaluates and saves the groups of a run folder, until they end or it is stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput, HostFault
from romanesco.core.precision import OFF_POLICY
from romanesco.core.types import Env
from romanesco.lab import initial, panel, store
from romanesco.lab.group import CHUNK_SECONDS, Group
from romanesco.lab.guard import Stop
from romanesco.lab.host import HostPrograms
from romanesco.lab.programs import Programs
from romanesco.lab.sinks import Sinks, TensorBoard
from romanesco.lab.store import EVALS, DiskFull, Jsonl, Results, RunFolder, SeedResult, Status

PATIENCE = 5  # saves in a row that a full disk may refuse


class RunFailed(Exception):
    """A run that ended, but not well: exit status 1. What was saved stands."""


class Interrupted(KeyboardInterrupt):
    """A run that was told to stop, and saved: exit status 130."""


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What higher floors lend to a run."""

    summarize: Callable[[Sequence[float]], tuple[float | None, tuple[float, float] | None]]  # IQM and its interval
    report: Callable[[Path], Any]  # writes report.html into the folder
    on_chunk: Callable[[int, Sequence[dict[str, Any]]], Any] | None = None  # sees (update, rows of metrics)


class Loop:
    """One process's work on one run folder."""

    def __init__(
        self, programs: Programs | HostPrograms, folder: RunFolder,
        groups: Sequence[tuple[str | None, list[int]]], hooks: Hooks, view: Any, stop: Stop,
        source: initial.Source | None = None,
    ):  # fmt: skip
        self.programs, self.folder, self.config, self.hooks = programs, folder, programs.config, hooks
        self.groups = [Group(programs, folder, seeds, name) for name, seeds in groups]
        self.env: Env = programs.setup.env
        self.stop, self.source = stop, source
        self.view = view or panel.Lines()
        self.agent, self.task = folder.path.resolve().parent.name, folder.path.resolve().parent.parent.name
        self.errors: list[str] = []
        self.heartbeat = self.refused = 0
        self.slow = False
        self.resumed_at: int | None = None

    def take_up(self, *, strict: bool) -> None:
        """Restores every group that has a checkpoint and cuts the logs back to the newest one."""
        offsets: dict[str, int] = {}
        for group in self.groups:
            store.clean(self.folder.path, group=group.name)
            if not store.steps(self.folder.path, group=group.name):
                if group.name is None:
                    raise BadInput(f"{self.folder.path}: no checkpoint was saved yet; train again")
                continue
            for note in group.restore(strict=strict):
                self.view.say(f"warning: {note}; the one before it is used")
            offsets = {k: max(v, offsets.get(k, 0)) for k, v in group.offsets.items()}
            self.resumed_at = group.step
        for name in ("metrics.jsonl", "evals.jsonl"):
            if name in offsets:
                store.rewind(self.folder.path / name, offsets[name], step=self.resumed_at)

    def run(self, *, resumed: bool) -> None:
        path = self.folder.path
        self.metrics = Jsonl(path / "metrics.jsonl")
        self.evals = Jsonl(path / "evals.jsonl", head=EVALS)
        wanted = {"tensorboard": lambda: TensorBoard(path / "tb", resumed=self.resumed_at)}
        self.sinks = Sinks({k: make() for k, make in wanted.items() if k in self.config.log.sinks}, say=self.view.say)
        listed = [{"name": g.name, "seeds": g.seeds} for g in self.groups]
        self.folder.write_json("groups.json", {"version": 1, "groups": listed})
        self._status("running")
        try:
            for group in self.groups:
                self._group(group, fresh=not resumed or not group.states)
            self._finish()
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self.programs.close()
            self.sinks.close()
            for log in (self.metrics, self.evals):
                log.close()

    def _group(self, group: Group, *, fresh: bool) -> None:
        clock = self.programs.clock
        with clock("compile"):
            self.programs.compile(group.seeds, begin=fresh)
            if fresh:
                group.begin(self.source)
            self.programs.ready()
        facts = panel.Facts(
            f"{self.task}/{self.agent}  {self.folder.path.name}",
            total=self.config.final_step, seeds=len(group.seeds), threshold=self.env.threshold,
            limit=OFF_POLICY[self.config.precision],
        )  # fmt: skip
        facts.step = group.step
        config, total = self.config, self.config.num_updates
        evals, saves = set(config.eval_targets()), set(config.targets(int(config.checkpoint.every))) - {0}
        saved = time.monotonic()
        while True:
            if group.update in evals and group.evaluated != group.update and not self.stop.poll():
                with clock("eval"):
                    rows = self._spared(group, group.evaluate)
                self.evals.write(rows)
                facts.judged(rows)
                self.view.show(facts)
            ended = group.update >= total or not group.active
            late = time.monotonic() - saved > 60 * config.checkpoint.minutes
            if ended or self.stop.poll() or late or (group.update in saves and group.update > 0) or self.refused:
                self._save(group, must=ended or self.stop.asked)
                saved = time.monotonic()
            self._status("running", group.step)
            if self.stop.asked and not ended:
                raise Interrupted(f"interrupted; saved. {self._go_on()}")
            if ended:
                break
            border = min(x for x in evals | saves | {total} if x > group.update)
            with clock(self.programs.phase):
                rows, errors = self._spared(group, group.advance, border)
            for row in rows:
                row |= {f"time/{phase}_s": seconds for phase, seconds in clock.seconds.items()}
                if row["train/off_policy"] > facts.limit:
                    row["flags"] = ["off_policy"]
            self.metrics.write(rows)
            self.sinks.write(rows)
            facts.add(rows, group.step)
            self.view.show(facts)
            if self.hooks.on_chunk:
                self.hooks.on_chunk(group.update, rows)
            for error in errors:
                self.errors.append(error)
                self.view.say(f"error: {error}")
        success = facts.recent("rollout/success_rate", 1000)
        if success:
            mean = sum(success) / len(success)
            fewest = min(1000, facts.fewest)
            of = f"{fewest:,} training episodes or more" if fewest > 1 else "training episode or more"
            self.view.say(f"success {mean:.1%} over the last {of} of each seed")

    def _spared(self, group: Group, act: Callable, *args: Any) -> Any:
        """What `act` returns; a world that breaks costs no more than what was done since the last chunk."""
        try:
            return act(*args)
        except HostFault as error:
            if group.update > 0:
                self._save(group, must=False)
            raise RunFailed(f"{error}; the state at step {group.step} is saved. {self._go_on()}") from error

    def _save(self, group: Group, *, must: bool) -> None:
        """A checkpoint; a full disk may refuse a few times, then the run stops."""
        self.metrics.write(())
        self.evals.write(())
        began = time.monotonic()
        try:
            group.save()
            self.refused = 0
            self._mind_grace(time.monotonic() - began)
        except DiskFull as error:
            self.refused += 1
            with contextlib.suppress(OSError):
                store.prune(self.folder.path, keep=1, group=group.name)
            self.view.say(f"warning: checkpoint at step {group.step} not saved: {error}")
            if must or self.refused >= PATIENCE:
                raise RunFailed(f"{self.folder.path}: the disk is full; the last checkpoint stands. {error}") from error

    def _mind_grace(self, seconds: float) -> None:
        """Says once that stopping (a chunk and a save) may take longer than whoever stops the run will wait."""
        if not self.slow and seconds + CHUNK_SECONDS > self.config.run.grace / 2:
            self.slow = True
            self.view.say(f"warning: a save took {seconds:.0f} s, near run.grace={self.config.run.grace:g}: raise it")

    def _go_on(self) -> str:
        return f'Go on with: romanesco train --resume "{self.folder.path}"'

    def _status(self, status: Any, steps: int | None = None, error: str | None = None) -> None:
        self.heartbeat += 1
        steps = max(g.step for g in self.groups) if steps is None else steps
        with contextlib.suppress(OSError):  # a full disk: the next one tells
            self.folder.status(Status(status, os.getpid(), self.heartbeat, steps, error))

    def _failed(self, error: BaseException) -> None:
        stopped = isinstance(error, KeyboardInterrupt)
        self._status("interrupted" if stopped else "failed", error=None if stopped else str(error))
        with contextlib.suppress(Exception):
            self.hooks.report(self.folder.path)

    def _finish(self) -> None:
        results: list[SeedResult] = []
        if self.config.eval.every:
            for group in self.groups:
                results += group.judge(self.env.threshold)
        scores = [r.greedy.mean for r in results if r.greedy is not None]
        iqm, interval = self.hooks.summarize(scores)
        budget = self.config.final_step
        self.folder.write_json(
            "results.json",
            Results(
                self.task, self.agent, budget, results, iqm, interval, self.env.threshold, budget,
                evaluation_seeds=list(range(self.config.eval.final_episodes)),
            ),
        )  # fmt: skip
        if self.errors:
            raise RunFailed("; ".join(self.errors))
        self._status("finished")
        self.hooks.report(self.folder.path)
