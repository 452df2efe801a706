"""Where wall time goes."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator


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
