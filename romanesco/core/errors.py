"""The one way to say that an input cannot be used."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """An input that cannot be used: one line naming field, value, what is allowed and a remedy.

    The command line prints it without a traceback and exits with status 2.
    """


def check_positive(**sizes: int) -> None:
    """Raises BadInput for a size below 1."""
    for name, value in sizes.items():
        if value < 1:
            raise BadInput(f"{name}={value}: at least 1 is needed")


def nearest(name: str, options: Iterable[str]) -> str:
    """-> "; did you mean `x`?" for the option closest to `name`, or an empty string."""
    close = difflib.get_close_matches(str(name), list(options), n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else ""


def among(name: str, options: Iterable[str]) -> str:
    """-> "; did you mean `x`? known: x, y", or "; known: x, y": how a message about a name that is none goes on."""
    known = list(options)
    return f"{nearest(name, known) or ';'} known: {', '.join(known)}"


class HostFault(Exception):
    """A world outside the program that broke, died or fell silent: which stream, at which step, and how."""
