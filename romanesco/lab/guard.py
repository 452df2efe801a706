"""What may stop a run: signals, a control file, numbers that are not numbers."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np


class Stop:
    """Ctrl-C and SIGTERM ask a run to end after the current chunk; a second one raises KeyboardInterrupt at once.

    The handlers that were there before come back on exit. Outside the main thread signals are left alone.
    """

    def __init__(self, folder: Path):
        self.asked = False
        self._control = folder / "control.json"
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def poll(self) -> bool:
        """Whether somebody asked, by signal or by `{"stop": true}` in the run folder's control.json."""
        if not self.asked and self._control.exists():
            try:
                self.asked = bool(json.loads(self._control.read_text()).get("stop"))
            except (OSError, ValueError, AttributeError):
                return False  # half written: read again after the next chunk
            if self.asked:
                self._control.unlink(missing_ok=True)
        return self.asked


def dump(folder: Path, seed: int, update: int, arrays: dict[str, np.ndarray]) -> Path:
    """The rollout that broke an update, as safetensors in `nan/`."""
    from safetensors.numpy import save_file

    path = folder / "nan" / f"seed_{seed:02d}_update_{update}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file({name: np.asarray(x, order="C") for name, x in arrays.items()}, path)
    return path
