"""How runs are called beside each other, and in which settings they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from romanesco.study.runs import Run

ABSENT = "\N{EN DASH}"
NOT_SETTINGS = {"root", "name", "preset"}
COUNTS = {"seed", "seeds"}  # of the same agent: they name nothing


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A tree of settings by dotted key."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {k: v for name, x in tree.items() for k, v in flat(x, f"{path}.{name}" if path else str(name)).items()}


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Dotted key -> its value in each run, of the settings in which they differ."""
    all_of = [flat(run.config) for run in runs]
    keys = [k for k in dict.fromkeys(k for one in all_of for k in one) if k not in NOT_SETTINGS]
    values = {key: [one.get(key, ABSENT) for one in all_of] for key in keys}
    return {key: found for key, found in values.items() if any(x != found[0] for x in found[1:])}


def labels_of(runs: Sequence[Run]) -> list[str]:
    """task/agent of each run; with the settings that differ, at most two, or its name, or its path, if need be."""
    labels = [run.label for run in runs]
    alike = {label: [run for run in runs if run.label == label] for label in labels}
    named = {label: [label] if len(group) == 1 else _told_apart(label, group) for label, group in alike.items()}
    return [named[run.label][alike[run.label].index(run)] for run in runs]


def _told_apart(label: str, runs: Sequence[Run]) -> list[str]:
    told = {key.rpartition(".")[2]: values for key, values in differing(runs).items() if key not in COUNTS}
    settings = [" ".join(f"{key}={values[i]}" for key, values in told.items()) for i in range(len(runs))]
    names, paths = [run.name for run in runs], [str(run.path) for run in runs]
    if len(told) in (1, 2) and len(set(settings)) == len(runs):
        return [f"{label} {setting}" for setting in settings]
    return [f"{label} ({name})" for name in (names if len(set(names)) == len(runs) else paths)]
