"""What a person sees while a run goes on: a live panel on a terminal, elsewhere a line an interval."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console, Group
from rich.errors import LiveError
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from romanesco.core.clock import split

RECENT = 100  # episodes that the shown return and success rate speak of, at least


class View(Protocol):
    """What the run loop tells whoever watches."""

    def say(self, text: str) -> None: ...

    def show(self, facts: Facts) -> None: ...

    def close(self) -> None: ...


class Facts:
    """The state of a run as numbers that a person wants to see; fed with rows of metrics and evaluations."""

    def __init__(self, title: str, *, total: int, seeds: int, threshold: float | None, limit: float):
        self.title, self.total, self.seeds, self.threshold, self.limit = title, total, seeds, threshold, limit
        self.step = 0
        self.fps = 0.0
        self.began = time.monotonic()
        self.rows: dict[int, deque[dict[str, Any]]] = {}
        self.evaluation: tuple[int, float, float] | None = None
        self.solved: int | None = None

    def add(self, rows: Sequence[dict[str, Any]], step: int) -> None:
        self.step = step
        for row in rows:
            self.fps = row["time/fps"]
            self.rows.setdefault(row["seed"], deque(maxlen=400)).append(row)

    def judged(self, rows: Sequence[dict[str, Any]]) -> None:
        means = [sum(row["return"]) / len(row["return"]) for row in rows]
        if not means:
            return
        mean = sum(means) / len(means)
        self.evaluation = rows[0]["step"], mean, max(means) - min(means)
        if self.solved is None and self.threshold is not None and mean >= self.threshold:
            self.solved = rows[0]["step"]

    def recent(self, key: str, episodes: int = RECENT) -> list[float]:
        """Of each seed: the mean over its newest rows that hold at least so many episodes."""
        values = []
        for rows in self.rows.values():
            count, total = 0, 0.0
            for row in reversed(rows):
                if row.get(key) is not None:
                    count += row["rollout/episodes"]
                    total += row[key] * row["rollout/episodes"]
                if count >= episodes:
                    break
            if count:
                values.append(total / count)
        return values

    @property
    def fewest(self) -> int:
        """How many episodes ended in the kept rows of the seed with the fewest."""
        ended = [sum(row.get("rollout/episodes") or 0 for row in rows) for rows in self.rows.values()]
        return int(min(ended, default=0))

    def last(self, key: str) -> list[float]:
        return [rows[-1][key] for rows in self.rows.values() if rows and rows[-1].get(key) is not None]

    @property
    def alarm(self) -> bool:
        return any(x > self.limit for x in self.last("train/off_policy"))

    @property
    def eta(self) -> float | None:
        return (self.total - self.step) * self.seeds / self.fps if self.fps else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(x: float | None, form: str = ".4g") -> str:
    return "-" if x is None else format(x, form)


def _clock(seconds: float | None) -> str:
    return "-" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "no episode has finished yet"
    text = _number(_mean(values))
    return text if len(values) == 1 else f"{text}  ({min(values):.4g} to {max(values):.4g} over {len(values)} seeds)"


class Lines:
    """One plain line an interval; ASCII, for batch jobs and pipes."""

    def __init__(self, out: TextIO | None = None, *, least: float = 5.0):
        self._out, self._least, self._next = out, least, 0.0

    def say(self, text: str) -> None:
        out = self._out or sys.stdout
        encoding = getattr(out, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=out, flush=True)

    def show(self, facts: Facts) -> None:
        if time.monotonic() < self._next and facts.step < facts.total:
            return
        self._next = time.monotonic() + self._least
        success = facts.recent("rollout/success_rate")
        parts = [
            f"step {facts.step:,}/{facts.total:,}",
            f"{facts.fps:,.0f} steps/s",
            f"return {_spread(facts.recent('rollout/ep_rew_mean'))}",
            *([f"success {_mean(success):.3f}"] if success else []),
            *([f"eval {facts.evaluation[1]:.4g}"] if facts.evaluation else []),
            f"off_policy {_number(max(facts.last('train/off_policy'), default=None), '.1e')}"
            + (" ALARM" if facts.alarm else ""),
            f"eta {_clock(facts.eta)}",
        ]
        self.say("  ".join(parts))

    def close(self) -> None:
        return


class LivePanel:
    """The panel on a terminal. Where another live display is on, lines instead."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)
        self._live.start()

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    def show(self, facts: Facts) -> None:
        self._live.update(_panel(facts))

    def close(self) -> None:
        self._live.stop()


def _panel(facts: Facts) -> Panel:
    table = Table.grid(padding=(0, 3), expand=False)
    for _ in range(4):
        table.add_column()
    learn = {name: _number(_mean(facts.last(f"train/{name}"))) for name in
             ("entropy", "approx_kl", "clip_fraction", "explained_variance", "grad_norm", "learning_rate")}  # fmt: skip
    success = facts.recent("rollout/success_rate")
    off = max(facts.last("train/off_policy"), default=None)
    rows = [
        ("return", _spread(facts.recent("rollout/ep_rew_mean")), "entropy", learn["entropy"]),
        ("success", _spread(success) if success else "-", "approx_kl", learn["approx_kl"]),
        ("evaluation", _evaluation(facts), "clip_fraction", learn["clip_fraction"]),
        ("threshold", _solved(facts), "explained_variance", learn["explained_variance"]),
        ("steps/s", f"{facts.fps:,.0f}", "grad_norm", learn["grad_norm"]),
        (
            "off_policy",
            _number(off, ".1e") + ("  ALARM" if facts.alarm else ""),
            "learning_rate",
            learn["learning_rate"],
        ),
        ("time", split(of[-1] for of in facts.rows.values()) or "-", "", ""),
    ]
    for name, value, other, number in rows:
        style = "bold red" if name == "off_policy" and facts.alarm else "bold"
        table.add_row(Text(name, "dim"), Text(value, style), Text(other, "dim"), Text(number))
    done = ProgressBar(total=facts.total, completed=facts.step, width=64)
    clock = f"{_clock(time.monotonic() - facts.began)} gone, {_clock(facts.eta)} to go"
    line = Text(f"{facts.step:,} of {facts.total:,} steps a seed   {clock}", "dim")
    return Panel(Group(table, Text(), done, line), title=facts.title, border_style="red" if facts.alarm else "green")


def _evaluation(facts: Facts) -> str:
    if facts.evaluation is None:
        return "-"
    step, mean, spread = facts.evaluation
    return f"{mean:.4g} at step {step:,}" + (f", seeds {spread:.3g} apart" if facts.seeds > 1 else "")


def _solved(facts: Facts) -> str:
    if facts.threshold is None:
        return "this world names none"
    return f"{facts.threshold:g}, " + (
        "not reached yet" if facts.solved is None else f"reached at step {facts.solved:,}"
    )


def view(*, error: bool = False) -> View:
    """The panel if a terminal is watching, else lines; `error`: on stderr, where stdout is for what is asked for."""
    console, out = Console(stderr=error), sys.stderr if error else None
    if not console.is_terminal or console.is_dumb_terminal:
        return Lines(out)
    try:
        return LivePanel(console)
    except LiveError:
        return Lines(out)
