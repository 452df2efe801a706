"""`python -m romanesco`, and the command `romanesco`: light, so that Ctrl-C is understood from the first moment."""

import os
import signal
import sys
from typing import Any


def _leave(number: int, frame: Any) -> None:
    """Ends the process: an exception raised here may be swallowed by whatever is being imported or collected."""
    del number, frame
    os.write(2, b"interrupted; nothing was saved\n")
    os._exit(130)


def main() -> None:
    """Runs the command line; ends the process with its exit status. A run takes the signals over once it can save."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from romanesco.cli import INTERRUPTED, run

    status = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if status == INTERRUPTED:
        os._exit(status)  # threads that still compile would keep the process for a while
    sys.exit(status)


if __name__ == "__main__":
    main()
