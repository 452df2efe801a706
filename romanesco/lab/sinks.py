"""Where rows go besides the run folder's own JSON lines."""

import importlib
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from romanesco.lab.rows import METRICS, Jsonl

__all__ = ["Jsonl", "Sink", "Sinks", "TensorBoard"]


class Sink(Protocol):
    """Something that takes rows of metrics, outside of every compiled program."""

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None: ...

    def close(self) -> None: ...


def _tensorboard() -> tuple[Any, Any, Any]:
    """TensorBoard's writer and protocol buffers, without TensorFlow.

    `tensorboard.compat` takes its own stub where a module named `notf` exists; else it would import TensorFlow.
    """
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    names = ("summary.writer.event_file_writer", "compat.proto.event_pb2", "compat.proto.summary_pb2")
    writer, event, summary = (importlib.import_module(f"tensorboard.{name}") for name in names)
    return writer, event, summary


class TensorBoard:
    """Scalars as TensorBoard events, one folder a seed: `tb/seed_00/`; the library is imported at the first row.

    On resume give the checkpoint's step as `resumed`: the new files say that all events after it are void.
    """

    def __init__(self, folder: Path, *, resumed: int | None = None):
        self._folder, self._resumed = Path(folder), resumed
        self._writers: dict[int, Any] = {}

    def _writer(self, seed: int) -> Any:
        if seed not in self._writers:
            writer, event, _ = _tensorboard()
            self._writers[seed] = new = writer.EventFileWriter(str(self._folder / f"seed_{seed:02d}"))
            if self._resumed is not None:
                start = event.SessionLog(status=event.SessionLog.START)
                new.add_event(event.Event(wall_time=time.time(), step=self._resumed + 1, session_log=start))
        return self._writers[seed]

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            numbers = {k: float(v) for k, v in row.items() if k not in METRICS and _is_number(v)}
            if numbers:
                self._event(int(row["seed"]), int(row["step"]), numbers)
        for writer in self._writers.values():
            writer.flush()

    def _event(self, seed: int, step: int, numbers: dict[str, float]) -> None:
        _, event, summary = _tensorboard()
        values = [summary.Summary.Value(tag=k, simple_value=v) for k, v in numbers.items()]
        told = event.Event(wall_time=time.time(), step=step, summary=summary.Summary(value=values))
        self._writer(seed).add_event(told)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _is_number(x: Any) -> bool:
    return x is not None and not isinstance(x, (str, list, tuple, dict)) and getattr(x, "ndim", 0) == 0


class Sinks:
    """Several sinks as one. One that fails says so once and is dropped; the others and the run go on."""

    def __init__(self, sinks: Mapping[str, Sink], *, say: Callable[[str], Any] = warnings.warn):
        self._sinks, self._say = dict(sinks), say

    def _each(self, act: Callable[[Sink], None]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                act(sink)
            except Exception as error:  # whatever a tracker raises is no reason to lose a run
                del self._sinks[name]
                self._say(f"log sink {name} failed and is dropped: {type(error).__name__}: {error}")

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        self._each(lambda sink: sink.write(rows))

    def close(self) -> None:
        self._each(lambda sink: sink.close())
