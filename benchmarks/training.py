"""Runs of the benchmarks: trained once, found again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from romanesco.study.runs import Run


def trained(path: Path, preset: str, words: Sequence[str]) -> Run:
    """The run in the folder `ROOT/TASK/AGENT/NAME`: as it is if it is finished, else trained, or gone on with."""
    if Run(path).status != "finished":
        fresh = [preset, *words, f"root={path.parents[2]}", f"name={path.name}"]
        told = ["--resume", str(path)] if (path / "groups.json").exists() else fresh
        subprocess.run([sys.executable, "-m", "romanesco", "train", *told], check=True)
    return Run(path)
