"""`python -m romanesco`, and the command `romanesco`: light, so that Ctrl-C is understood from the first moment."""

import os
import signal
import sys
from typing import Any


def main() -> None:
    """Runs the command line; ends the process with its exit status."""
    asked: list[int] = []

    def stop(number: int, frame: Any) -> None:
        del frame
        asked.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        from romanesco.cli import run

        status = run(sys.argv[1:])
    except BaseException as error:  # an import that Ctrl-C cuts short may raise anything
        if not (asked or isinstance(error, KeyboardInterrupt)):
            raise
        print("interrupted; nothing more was saved", file=sys.stderr)
        status = 130
    sys.stdout.flush()
    sys.stderr.flush()
    if status == 130:
        os._exit(status)  # threads that still compile would keep the process for a while
    sys.exit(status)


if __name__ == "__main__":
    main()
