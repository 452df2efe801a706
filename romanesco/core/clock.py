"""Where wall time goes."""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class Clock:
    """Seconds by what they were spent on. A phase within another pauses it, so that all add up to the time gone."""

    def __init__(self, phase: str):
        self.seconds: dict[str, float] = defaultdict(float)
        self._phase, self._since = phase, time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        outer = self._turn(phase)
        try:
            yield
        finally:
            self._turn(outer)

    def _turn(self, phase: str) -> str:
        now, outer = time.perf_counter(), self._phase
        self.seconds[outer] += now - self._since
        self._phase, self._since = phase, now
        return outer


def split(rows: Iterable[Mapping[str, Any]]) -> str:
    """Of rows of metrics, the newest of each seed, the shares of `time/*_s` in words: "device 80 %, compile 20 %"."""
    total: Counter[str] = Counter()
    for row in rows:
        for key, x in row.items():
            if key.startswith("time/") and key.endswith("_s"):
                total[key.removeprefix("time/").removesuffix("_s")] += x
    shares = [(phase, 100 * x / total.total()) for phase, x in total.most_common() if x]
    return ", ".join(f"{phase} {share:.0f} %" for phase, share in shares if share >= 0.5)
