"""One process a seed, for worlds on the host: this process watches, merges rows, and hands Ctrl-C on.

The child of seed s is a run of its own in `seeds/<s>`, which resumes by itself: `python -m romanesco.lab.jobs FOLDER`.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.core.precision import OFF_POLICY
from romanesco.lab import devices, files, initial, panel, run, store
from romanesco.lab.build import Objects
from romanesco.lab.config import Config
from romanesco.lab.disk import replace
from romanesco.lab.guard import Stop
from romanesco.lab.lock import Lock
from romanesco.lab.loop import Hooks, Interrupted, RunFailed
from romanesco.lab.store import Results, RunFolder, Score, SeedResult, Status
from romanesco.lab.worlds import HostEnvironment

SEEDS = "seeds"  # the folder of the children
LOGS = ("metrics.jsonl", "evals.jsonl")
GLANCE, MERGE = 0.2, 5.0  # seconds between two looks at the children, and between two merges of their rows


def start(config: Config, *, hooks: Hooks, objects: Objects = Objects(), **told: Any) -> Path:
    """Trains from the beginning, in this process or in one a seed -> the new run folder."""
    if not _apart(config, objects):
        return run.start(config, hooks=hooks, objects=objects, **told)
    with devices.numerics(config):
        env = run.world_of(config, objects)  # bad input is told once, before anything is written
        programs = run.programs_of(config, env, objects, devices.devices_for(config, seeds=1))
        about = run.describe(programs)
        config, _ = initial.settle(config, programs.like.learner.actor)
        programs.close()
    path = store.new_folder(config.root, *run.names(config, objects), config.name)
    RunFolder(path).write_json("model.json", about)
    return _watched(path, config, env.threshold, hooks, **told)


def resume(path: Path, config: Config, *, hooks: Hooks, objects: Objects = Objects(), **told: Any) -> Path:
    """Goes on with a run, in the way it was begun."""
    if not (path / SEEDS).is_dir():
        return run.resume(path, config, hooks=hooks, objects=objects, **told)
    threshold = run.world_of(config, objects).threshold
    return _watched(path, config, threshold, hooks, **told)


def finished(config: Config, *, hooks: Hooks, **told: Any) -> Path:
    """The finished run of this name and these settings: found, gone on with, or trained from the beginning."""
    path = store.runs_root(config.root).joinpath(*run.names(config, Objects()), str(config.name))
    if not (path / "groups.json").exists():
        return start(config, hooks=hooks, **told)
    saved = files.from_yaml((path / store.CONFIG).read_text(encoding="utf-8"), str(path / store.CONFIG))
    if saved != config:
        raise BadInput(f"{path}: is a run of other settings; give another name, or the settings that it has")
    if (RunFolder(path).read_json("status.json") or {}).get("status") == "finished":
        return path
    return resume(path, config, hooks=hooks, **told)


def _apart(config: Config, objects: Objects) -> bool:
    """Whether seeds get processes: a named world on the host, several seeds, and more than one process allowed."""
    return isinstance(config.env, HostEnvironment) and not objects.names and config.seeds > 1 and config.jobs != 1


def _watched(
    path: Path, config: Config, threshold: float | None, hooks: Hooks, *, argv: Sequence[str] = (), view: Any = None,
    strict: bool = False,
) -> Path:  # fmt: skip
    view = view or panel.Lines()
    folder = RunFolder(path)
    with Lock(path, say=view.say), Stop(path) as stop:
        folder.write_text(store.CONFIG, files.to_yaml(config))
        if not (path / "version.json").exists():
            folder.record(argv, device="cpu", git_diff=config.log.git_diff)
        _Watch(folder, config, threshold, hooks, view, stop, strict=strict).run()
    return path


def child_folder(path: Path, seed: int) -> Path:
    return path / SEEDS / f"{seed:02d}"


class _Watch:
    """The children of one run."""

    def __init__(
        self, folder: RunFolder, config: Config, threshold: float | None, hooks: Hooks, view: Any, stop: Stop,
        *, strict: bool,
    ):  # fmt: skip
        self.folder, self.config, self.threshold, self.hooks, self.view, self.stop = (
            folder, config, threshold, hooks, view, stop,
        )  # fmt: skip
        self.strict = strict
        self.seeds = list(range(config.seed, config.seed + config.seeds))
        self.processes: dict[int, subprocess.Popen] = {}
        self.ended: dict[int, int] = {}  # seed -> exit status
        self.seen: dict[Path, int] = {}
        self.heartbeat = 0
        self.task, self.agent = folder.path.resolve().parent.parent.name, folder.path.resolve().parent.name
        self.facts = panel.Facts(
            f"{self.task}/{self.agent}  {folder.path.name}", total=config.final_step, seeds=len(self.seeds),
            threshold=threshold, limit=OFF_POLICY[config.precision],
        )  # fmt: skip

    def run(self) -> None:
        waiting, merged, told = list(self.seeds), 0.0, False
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        room = cores if self.config.jobs == "auto" else int(self.config.jobs)
        self._status("running")
        try:
            while waiting or self.processes:
                while waiting and len(self.processes) < room and not self.stop.asked:
                    self._launch(waiting.pop(0))
                time.sleep(GLANCE)
                self._collect()
                if time.monotonic() - merged > MERGE:
                    self._merge()
                    merged = time.monotonic()
                if self.stop.poll() and not told:
                    waiting.clear()
                    self._hand_on(signal.SIGTERM)  # once: a second signal makes a child leave without saving
                    told = True
        except BaseException:
            self._hand_on(signal.SIGKILL)
            self._status("failed")
            raise
        self._merge()
        self._finish()

    def _launch(self, seed: int) -> None:
        path = child_folder(self.folder.path, seed)
        path.mkdir(parents=True, exist_ok=True)
        config = dataclasses.replace(self.config, seed=seed, seeds=1, jobs=1)
        replace(path / "asked.yaml", files.to_yaml(config).encode())
        command = [sys.executable, "-m", "romanesco.lab.jobs", str(path), *(["--strict"] if self.strict else [])]
        with (path / "log.txt").open("ab") as log:
            self.processes[seed] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _collect(self) -> None:
        for seed, process in list(self.processes.items()):
            if (status := process.poll()) is not None:
                del self.processes[seed]
                self.ended[seed] = status

    def _hand_on(self, number: int) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _merge(self) -> None:
        """The children's whole rows as one log, by step and seed; what is new is shown."""
        fresh = {}
        for name in LOGS:
            rows: list[tuple[int, int, bytes]] = []
            for seed in self.seeds:
                lines = _whole(child_folder(self.folder.path, seed) / name)
                rows += [(row["step"], seed, line) for line in lines if (row := json.loads(line))]
                at = child_folder(self.folder.path, seed) / name
                fresh.setdefault(name, []).extend(map(json.loads, lines[self.seen.get(at, 0) :]))
                self.seen[at] = len(lines)
            if fresh[name]:
                rows.sort(key=lambda row: row[:2])
                replace(self.folder.path / name, b"".join(line + b"\n" for *_, line in rows))
        steps = [self._child(seed).get("steps") or 0 for seed in self.seeds]
        if any(fresh.values()):
            self.facts.add(fresh["metrics.jsonl"], sum(steps) // len(steps))
            self.facts.judged(fresh["evals.jsonl"])
            self.view.show(self.facts)
        self._status("running")

    def _child(self, seed: int) -> dict[str, Any]:
        return RunFolder(child_folder(self.folder.path, seed)).read_json("status.json") or {}

    def _status(self, status: Any, error: str | None = None) -> None:
        self.heartbeat += 1
        steps = min((self._child(seed).get("steps") or 0 for seed in self.seeds), default=0)
        with contextlib.suppress(OSError):
            self.folder.status(Status(status, os.getpid(), self.heartbeat, steps, error))

    def _finish(self) -> None:
        results = [self._result(seed) for seed in self.seeds] if self.config.eval.every else []
        scores = [r.greedy.mean for r in results if r.greedy is not None]
        go_on = f'Go on with: romanesco train --resume "{self.folder.path}"'
        if self.stop.asked:
            self._status("interrupted")
            raise Interrupted(f"interrupted; every seed is saved. {go_on}")
        iqm, interval = self.hooks.summarize(scores)
        budget = self.config.final_step
        judged = list(range(self.config.eval.final_episodes))
        self.folder.write_json(
            "results.json",
            Results(self.task, self.agent, budget, results, iqm, interval, self.threshold, budget, judged),
        )
        failed = [seed for seed in self.seeds if self.ended.get(seed) != 0]
        if failed:
            why = "; ".join(f"seed {seed}: {self._reason(seed)}" for seed in failed)
            self._status("failed", why)
            with contextlib.suppress(Exception):
                self.hooks.report(self.folder.path)
            raise RunFailed(f"{why}. {go_on}")
        self._status("finished")
        self.hooks.report(self.folder.path)

    def _result(self, seed: int) -> SeedResult:
        found = RunFolder(child_folder(self.folder.path, seed)).read_json("results.json")
        if not found or not found["seeds"]:
            return SeedResult(seed, None)
        (row,) = found["seeds"]
        scores = {k: Score(**row[k]) for k in ("greedy", "sampled", "absolute") if row.get(k)}
        return SeedResult(**{**row, **scores})

    def _reason(self, seed: int) -> str:
        """Why a child failed, in its own words."""
        path = child_folder(self.folder.path, seed) / "log.txt"
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        said = self._child(seed).get("error") or (lines[-1].removeprefix("error: ") if lines else None)
        return said or f"its process ended with status {self.ended.get(seed)}"


def _whole(path: Path) -> list[bytes]:
    """The rows of a log that is being written; a last half line waits."""
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [line for line in lines if line]


def _child_main(argv: Sequence[str]) -> int:
    """Begins or resumes the run of one seed in its folder."""
    path = Path(argv[0])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # a parent that dies takes its children along; Linux only
    config = files.from_yaml((path / "asked.yaml").read_text(encoding="utf-8"), str(path / "asked.yaml"))
    hooks = Hooks(lambda scores: (None, None), lambda path: None)
    try:
        if (path / "groups.json").exists() and store.steps(path):
            run.resume(path, config, hooks=hooks, strict="--strict" in argv)
        else:
            run.start_in(path, config, hooks=hooks)
    except Interrupted:
        return 130
    except (RunFailed, BadInput) as error:
        print(f"error: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_child_main(sys.argv[1:]))
