"""`python -m romanesco`, and the command `romanesco`: light, so that Ctrl-C is understood from the first moment."""

import contextlib
import os
import signal
import sys
from typing import Any


def _end(status: int) -> None:
    """Ends the process at once, not waiting for threads that still compile; processes of environments end first."""
    if "multiprocessing.util" in sys.modules:
        import multiprocessing.resource_tracker
        import multiprocessing.util

        with contextlib.suppress(Exception):
            for child in multiprocessing.active_children():
                child.kill()
            multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # unlinks semaphores
            multiprocessing.resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    os._exit(status)


def _leave(number: int, frame: Any) -> None:
    """Ends the process: an exception raised here may be swallowed by whatever is being imported or collected."""
    del number, frame
    os.write(2, b"interrupted; nothing was saved\n")
    _end(130)


def main() -> None:
    """Runs the command line; ends the process with its exit status. A run takes the signals over once it can save."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from romanesco.cli import INTERRUPTED, run

    status = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if status == INTERRUPTED:
        _end(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
