"""Committed tables: rows of a CSV with the command that made them, its spread, date and hardware."""

from __future__ import annotations

import csv
import datetime
import functools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from romanesco.core.mesh import deal
from romanesco.lab.programs import Programs

HERE = Path(__file__).resolve().parent
COLUMNS = ("row", "command", "metric", "value", "low", "high", "seeds", "commit", "date", "hardware")


def hardware() -> str:
    """The processor and its cores, or the accelerator."""
    if jax.devices()[0].platform != "cpu":
        return f"{len(jax.devices())} x {jax.devices()[0].device_kind}"
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


@functools.cache
def commit() -> str:
    """What is measured, as it was when first asked: the commit, with a `+` where files differ from it."""
    git = lambda *words: subprocess.run(["git", *words], cwd=HERE.parent, capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + "+" * bool(changed)


def row(
    name: str, command: str, metric: str, values: Sequence[float], seeds: int | str = "",
    *, interval: Sequence[float] | None = None,
) -> dict[str, object]:  # fmt: skip
    """One row: the median of the values and their range, or `interval`."""
    form = lambda x: f"{x:.4g}" if abs(x) < 1e4 else f"{x:.0f}"
    told = (statistics.median(values), *(interval or (min(values), max(values))))
    spread = dict(zip(("value", "low", "high"), map(form, told), strict=True))
    made = {"commit": commit(), "date": datetime.date.today().isoformat(), "hardware": hardware()}
    return {"row": name, "command": command, "metric": metric, **spread, "seeds": seeds, **made}


def write(table: str, rows: Sequence[dict[str, object]], *, replace: bool = True) -> Path:
    """Writes `results/<table>.csv`; unless `replace`, other rows stay, and those of a name and metric keep their
    place."""
    path = HERE / "results" / f"{table}.csv"
    old = [] if replace or not path.exists() else list(csv.DictReader(path.open()))
    told = {(r["row"], r["metric"]): r for r in [*old, *rows]}
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(told.values())
    for r in rows:
        print(f"{r['row']:40} {r['metric']:28} {r['value']:>10}  [{r['low']}, {r['high']}]")
    return path


def times(act: Callable[[], object], repeats: int, *, warm: bool = False) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds (all threads) of each call, after one that is not counted unless it is `warm`. `act`
    blocks."""
    if not warm:
        act()
    wall, cpu = [], []
    for _ in range(repeats):
        w, c = time.perf_counter(), time.process_time()
        act()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return wall, cpu


def runner(programs: Programs, seeds: list[int], updates: int) -> Callable[[], None]:
    """A function that runs `updates` updates of these seeds, compiled, from where the last call ended."""
    programs.compile(seeds, begin=True)
    keys = programs.keys(seeds)
    setups = deal([programs.setup] * len(seeds), programs.devices)
    states = programs.begin(keys, setups)

    def run() -> None:
        nonlocal states
        done = programs.chunk(keys, states, setups, shared=(0, updates, 10**6))
        states = [state for state, _ in done]
        jax.block_until_ready(states)

    return run
