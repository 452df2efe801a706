"""The command line. Every command is a few lines over the API; JAX is imported by the commands that need it.

One module a family of commands; importing it adds them to the application, in the order that `--help` shows.
"""

# isort: off
from romanesco.cli import train, evaluate, attention, export, compare, ablate, env, look
from romanesco.cli.terminal import BAD, DONE, FAILED, INTERRUPTED, app, run, say

__all__ = [
    "BAD", "DONE", "FAILED", "INTERRUPTED", "ablate", "app", "attention", "compare", "env", "evaluate", "export",
    "look", "run", "say", "train",
]  # fmt: skip
