"""Run folders: making, writing and finding them. Checkpoints are in `checkpoint.py`, rows in `rows.py`."""

import dataclasses
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput, nearest
from romanesco.lab.checkpoint import clean, prune, read, restore, save, save_best, steps, verify
from romanesco.lab.disk import DISK, Disk, DiskFull, replace
from romanesco.lab.record import command, redact, versions
from romanesco.lab.rows import EVALS, METRICS, Jsonl, finite, number, rewind
from romanesco.lab.words import Results, Score, SeedResult, Status

__all__ = [
    "DISK", "EVALS", "METRICS", "Disk", "DiskFull", "Jsonl", "Results", "RunFolder", "Score", "SeedResult", "Status",
    "clean", "find_policy", "find_run", "is_export", "new_folder", "prune", "read", "restore", "rewind", "run_folders",
    "runs_root", "save", "save_best", "steps", "verify",
]  # fmt: skip

CONFIG = "config.yaml"  # the file that makes a folder a run
POLICY, ABOUT = "policy.safetensors", "config.json"  # those that make one an export
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def runs_root(root: str | Path | None = None) -> Path:
    """The folder of all runs: the one given, else $ROMANESCO_RUNS, else `runs`."""
    return Path(root or os.environ.get("ROMANESCO_RUNS") or "runs")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".") or "-"


def _claim(path: Path) -> bool:
    """Whether this process alone may fill the folder `path`: it was empty, and run.lock is made here."""
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        return False
    try:
        os.close(os.open(path / "run.lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    return True


def new_folder(root: str | Path | None, task: str, agent: str, name: str | None = None) -> Path:
    """Makes `<root>/<task>/<agent>/<stamp>-<id>`, or `.../<name>`; of simultaneous callers each gets its own.

    `/` and `:` of a task become `-`. Raises `BadInput` for a name with other characters than `[A-Za-z0-9._-]` and
    for a folder that holds anything.
    """
    parent = runs_root(root) / _slug(task) / _slug(agent)
    if name is None:
        while not _claim(path := parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"):
            continue
        return path
    if not NAME.fullmatch(name):
        raise BadInput(f"name={name!r}: letters, digits, `.`, `_` and `-` are allowed; try name={_slug(name)}")
    if not _claim(parent / name):
        taken = f"name={name}: {parent / name} is not empty"
        raise BadInput(f"{taken}; choose another name, or resume it: train --resume {parent / name}")
    return parent / name


def plain(value: Any) -> Any:
    """Strict JSON of a dataclass or dict: floats as their shortest float32, NaN and infinities as null."""
    return finite(number(dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value))[0]  # type: ignore[arg-type]


class RunFolder:
    """A run folder of which this process holds the lock. Every file it writes is there whole or not at all."""

    def __init__(self, path: str | Path, *, disk: Disk = DISK):
        self.path, self.disk = Path(path), disk

    def write_json(self, name: str, value: Any) -> None:
        """Writes a dataclass or a dict as `name`, strict JSON."""
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1)
        replace(self.path / name, (text + "\n").encode(), disk=self.disk)

    def write_text(self, name: str, text: str) -> None:
        replace(self.path / name, text.encode(), disk=self.disk)

    def read_json(self, name: str) -> dict | None:
        """The content of a JSON file; None where there is none or it cannot be read."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def status(self, status: Status) -> None:
        """Writes status.json; secrets in the error's text are hidden."""
        error = status.error and redact(status.error)
        self.write_json("status.json", dataclasses.replace(status, error=error))

    def record(self, argv: Sequence[str], *, device: str | None = None, git_diff: bool = True) -> None:
        """Writes command.txt and version.json."""
        self.write_text("command.txt", command(argv) + "\n")
        self.write_json("version.json", versions(device=device, git_diff=git_diff))


def run_folders(root: Path) -> Iterator[Path]:
    """Every run below `root`, wherever it lies; what lies inside a run is no run of its own."""
    for here, inner, files in os.walk(root):
        inner.sort()
        if CONFIG in files:
            inner.clear()
            yield Path(here)


def _started(run: Path) -> float:
    return (run / CONFIG).stat().st_mtime


def _enclosing(path: Path) -> Path | None:
    return next((p for p in path.absolute().parents if (p / CONFIG).is_file()), None)


def _list(runs: list[Path]) -> str:
    more = f" and {len(runs) - 20} more" if len(runs) > 20 else ""
    return ", ".join(map(str, runs[:20])) + more


def _at(path: Path, spec: str) -> Path:
    """The run at an existing path; what is one level too deep or too high is named."""
    if (path / CONFIG).is_file():
        return path
    run = _enclosing(path)
    what = "a checkpoint" if (path / "manifest.json").exists() or path.name == "checkpoints" else "a part of a run"
    if run is not None:
        raise BadInput(f"{spec} is {what}, not the run; give the run folder: {run}")
    if what == "a checkpoint":
        raise BadInput(f"{spec} is a checkpoint without its run; give the run folder, the one with {CONFIG}")
    if is_export(path):
        raise BadInput(f"{spec} is an export, a policy without its run; here a run is needed")
    below = list(run_folders(path))
    if len(below) == 1:
        return below[0]
    if not below:
        raise BadInput(f"{spec} is not a run: there is no {CONFIG}; `romanesco runs` lists them")
    raise BadInput(f"{spec} holds {len(below)} runs; give one: {_list(below)}")


def is_export(path: Path) -> bool:
    """Whether `path` is a folder that `romanesco export` wrote, or what is left of one."""
    return not (path / CONFIG).is_file() and any((path / name).is_file() for name in (POLICY, ABOUT))


def find_policy(spec: str | Path, root: str | Path | None = None) -> Path:
    """The folder of an export, or the run that `spec` means: what a policy can be loaded from."""
    return Path(spec) if is_export(Path(spec)) else find_run(spec, root)


def find_run(spec: str | Path, root: str | Path | None = None) -> Path:
    """The run folder that `spec` means: a path, `task/agent/name`, the unique start of a name or id, or `latest`.

    Raises `BadInput`: a checkpoint's path (names its run), a folder of several runs or an ambiguous start (lists
    them), nothing found (the nearest).
    """
    top, spec = runs_root(root), str(spec)
    runs = [] if spec != "latest" and Path(spec).exists() else list(run_folders(top))
    if spec == "latest":
        if not runs:
            raise BadInput(f"latest: there is no run in {top}; train one, or set --root or ROMANESCO_RUNS")
        return max(runs, key=_started)
    for path in (Path(spec), top / spec):
        if path.exists():
            return _at(path, spec)
    exact = [run for run in runs if spec in (run.name, run.name.rpartition("-")[2])]
    close = [run for run in runs if run.name.startswith(spec) or run.name.rpartition("-")[2].startswith(spec)]
    hits = exact or close
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise BadInput(f"run `{spec}` is ambiguous in {top}: {_list(hits)}")
    names = [run.name for run in runs] + [str(run.relative_to(top)) for run in runs]
    raise BadInput(f"no run `{spec}` in {top} ({len(runs)} runs){nearest(spec, names)}; `romanesco runs` lists them")
