"""What every command shares: the application, its exit statuses, and how it speaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from romanesco.core.errors import BadInput

DONE, FAILED, BAD, INTERRUPTED = 0, 1, 2, 130
FREE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="romanesco",
    help="Reinforcement-learning agents that attend, remember, imagine and plan.",
    epilog="Begin with: romanesco train quickstart. Then: romanesco report latest, romanesco eval latest. "
    "romanesco COMMAND --help says more of each.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a folder, task/agent/name, the start of an id, or latest")]
Root = Annotated[str | None, typer.Option("--root", help="folder of all runs (else $ROMANESCO_RUNS, else runs)")]


def say(text: str = "", *, error: bool = False) -> None:
    """Prints, whatever the terminal's encoding can show."""
    out = sys.stderr if error else sys.stdout
    encoding = getattr(out, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=out, flush=True)


def run(argv: Sequence[str]) -> int:
    """Runs one command -> its exit status. Bad input is one line and status 2, never a traceback."""
    try:
        status = app(args=list(argv), standalone_mode=False)
        return status if isinstance(status, int) else DONE
    except BadInput as error:
        say(f"error: {error}", error=True)
        return BAD
    except (typer.Abort, KeyboardInterrupt):
        say("interrupted at once; the last checkpoint stands", error=True)
        return INTERRUPTED
    except Exception as error:
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """The status of what is neither done nor bad input; a fault of our own keeps its traceback."""
    show: Callable | None = getattr(error, "show", None)
    if show is not None and hasattr(error, "exit_code"):  # a usage error of the command line's parser
        show()
        return int(getattr(error, "exit_code", BAD))
    if type(error).__name__ == "RunFailed":
        say(f"error: {error}", error=True)
        return FAILED
    if isinstance(error, OSError):
        say(f"error: {error}", error=True)
        return FAILED
    raise error


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> None:
    """Columns as wide as their longest entry; plain text, so that it survives any terminal and pipe."""
    cells = [[str(x) for x in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        say("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip())


def listed(rows: Any, as_json: bool, head: Sequence[str], keys: Sequence[str]) -> None:
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    table([["-" if row.get(k) is None else row[k] for k in keys] for row in rows], head)


@app.callback()
def _root() -> None:
    import os

    cache = Path.home() / ".cache" / "romanesco" / "jax"
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and _own_folder(cache):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def _own_folder(path: Path) -> bool:
    """Whether `path` is a folder that only this user can write; it is made if need be."""
    import os

    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = path.stat()
        return about.st_uid == os.getuid() and not about.st_mode & 0o022
    except OSError:
        return False
