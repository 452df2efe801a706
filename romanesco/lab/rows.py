"""Rows of numbers as JSON lines. One writer a file; readers may read at any time."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from romanesco.lab.disk import FULL, DiskFull, replace

METRICS = ("step", "live_step", "seed", "update", "time")
EVALS = ("seed", "step", "mode", "return", "length", "success", "env_seed")
WAITING = 64 * 2**20  # bytes of rows that may wait in memory while the disk is full
LARGEST = float(np.finfo(np.float32).max)


def number(x: Any) -> Any:
    """A plain JSON number: a float as the shortest decimal that restores its float32.

    Floats beyond the float32 range keep their double. Strings, None and containers pass; arrays become lists.
    """
    if isinstance(x, Mapping):
        return {str(k): number(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [number(v) for v in x]
    if x is None or isinstance(x, (str, bool, int)):
        return x
    x = x if isinstance(x, float) else np.asarray(x).tolist()
    if isinstance(x, float):
        return float(str(np.float32(x))) if abs(x) <= LARGEST else float(x)
    return number(x)


def finite(x: Any) -> tuple[Any, bool]:
    """-> the value with null for every NaN and infinity, and whether nothing had to be replaced."""
    if isinstance(x, float) and not math.isfinite(x):
        return None, False
    if isinstance(x, dict):
        pairs = {k: finite(v) for k, v in x.items()}
        return {k: v for k, (v, _) in pairs.items()}, all(ok for _, ok in pairs.values())
    if isinstance(x, list):
        values = [finite(v) for v in x]
        return [v for v, _ in values], all(ok for _, ok in values)
    return x, True


def encode(row: Mapping[str, Any], *, head: tuple[str, ...] = METRICS) -> str:
    """One line of strict JSON: the keys of `head` first, the others sorted.

    NaN and infinities become null and their keys are listed under "nonfinite"; a None is null and no alarm.
    """
    keys = [k for k in head if k in row] + sorted(set(row) - set(head) - {"nonfinite"})
    values = {k: finite(number(row[k])) for k in keys}
    line = {k: v for k, (v, _) in values.items()}
    bad = [k for k, (_, ok) in values.items() if not ok]
    return json.dumps(line | ({"nonfinite": bad} if bad else {}), ensure_ascii=False, allow_nan=False) + "\n"


def _before(line: bytes, step: int | None) -> bool:
    """Whether a whole line is of a step up to `step`; unreadable lines are taken to be."""
    try:
        return line.endswith(b"\n") and (step is None or json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError):
        return True


def rewind(path: Path, offset: int, *, step: int | None = None) -> None:
    """Moves what lies past a checkpoint's byte offset to `<name>.stale.jsonl`, so that resumed rows come once.

    In a file damaged so that no line ends at `offset`, the rows of steps beyond `step` move, and a half last line.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    ends = list(accumulate(map(len, lines)))
    sound = offset == 0 or any(end == offset and line.endswith(b"\n") for end, line in zip(ends, lines, strict=True))
    keep = [end <= offset if sound else _before(line, step) for end, line in zip(ends, lines, strict=True)]
    if all(keep):
        return
    stale = b"".join(line for line, k in zip(lines, keep, strict=True) if not k)
    with open(path.with_name(f"{path.stem}.stale.jsonl"), "ab") as file:
        file.write(stale if stale.endswith(b"\n") else stale + b"\n")
        file.flush()
        os.fsync(file.fileno())
    replace(path, b"".join(line for line, k in zip(lines, keep, strict=True) if k))


class Jsonl:
    """Appends rows to a file of JSON lines; every `write` reaches the file before it returns.

    On a full disk the rows wait in memory, up to 64 MB, and the file ends on a whole line; the next write tries
    again, and `waiting` says how many bytes have not arrived. Call `rewind` first when resuming.
    """

    def __init__(self, path: Path, *, head: tuple[str, ...] = METRICS):
        self._head, self._path, self._wait = head, Path(path), b""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._end = os.fstat(self._file).st_size
        if self._end and os.pread(self._file, 1, self._end - 1) != b"\n":
            self._wait = b"\n"  # a half line of a power cut stays a line of its own

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._wait += "".join(encode(row, head=self._head) for row in rows).encode()
        if not self._wait:
            return
        try:
            self._append(self._wait)
        except OSError as error:
            if error.errno not in FULL:
                raise
            os.ftruncate(self._file, self._end)
            if len(self._wait) > WAITING:
                raise DiskFull(error.errno, "no room for metrics, and 64 MB of rows wait", str(self._path)) from error
            return
        self._end += len(self._wait)
        self._wait = b""

    def _append(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += os.write(self._file, data[done:])

    @property
    def waiting(self) -> int:
        """Bytes of rows that the disk had no room for."""
        return len(self._wait)

    def offset(self) -> int:
        """Bytes in the file: what a checkpoint records and `rewind` takes."""
        return self._end

    def close(self) -> None:
        """Writes what waits, if there is room now, and closes the file."""
        try:
            self.write(())
        finally:
            os.close(self._file)
