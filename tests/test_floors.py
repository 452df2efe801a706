"""Imports run down only, and rooms of one floor do not know one another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "romanesco"
FLOORS = (
    {"core"},
    {"memory", "envs", "agent", "plan", "evolve"},
    {"learn"},
    {"study", "laws", "lab"},
    {"scale"},
    {"cli", "api", "frala"},
    {"dashboard", "__main__", "__init__"},
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
STRANGERS = ({"memory", "envs", "plan", "evolve"}, {"study", "laws", "lab"})
DASHBOARD_SEES = {"dashboard", "study"}
BUILDER = "lab/build.py"  # the one file where names become objects


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(parts: tuple[str, ...]) -> str:
    """The room of `romanesco/<room>/...`, or of the file `romanesco/<room>.py`."""
    return parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported anywhere in a file, at its top or when a function runs; relative ones as "."."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "."
        elif isinstance(node, ast.ImportFrom) and node.module == "romanesco":
            yield from (f"romanesco.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def fault(own: str, other: str) -> str | None:
    """Why a file of room `own` may not import from room `other`; None if it may."""
    if own == other:
        return None
    if other not in HEIGHT:
        return f"{other} stands on no floor"
    if own != "dashboard" and other == "dashboard":
        return "nobody imports the dashboard"
    if own == "dashboard" and other not in DASHBOARD_SEES:
        return "the dashboard imports study only"
    if HEIGHT[other] > HEIGHT[own]:
        return f"{other} is above {own}"
    if own == "agent" and other == "memory":
        return "an agent gets its memory as an object"
    if own in {"memory", "envs"} and other == "agent":
        return "cells and worlds know no agent"
    if own == "learn" and other in {"memory", "envs"}:
        return "learners see protocols, not cells or environments"
    if any({own, other} <= strangers for strangers in STRANGERS):
        return f"{own} and {other} do not know one another"
    return None


def ours(path: Path) -> set[str]:
    """Rooms that a file imports from. A name of the package itself, like `__version__`, is of no room."""
    modules = [m.split(".") for m in imports(ast.parse(path.read_text(encoding="utf-8")))]
    return {m[1] for m in modules if m[0] == "romanesco" and len(m) > 1 and not m[1].startswith("_")}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_down(path):
    own = room(path.relative_to(PACKAGE).parts)
    faults = [said for other in sorted(ours(path)) if (said := fault(own, other))]
    assert not faults, faults


def test_every_room_stands_on_a_floor():
    assert {room(path.relative_to(PACKAGE).parts) for path in files()} <= set(HEIGHT)


def test_imports_are_absolute():
    assert not [path for path in files() if "." in imports(ast.parse(path.read_text(encoding="utf-8")))]


@pytest.mark.parametrize(
    ("own", "other"),
    [("core", "memory"), ("memory", "envs"), ("memory", "agent"), ("agent", "memory"), ("learn", "envs"),
     ("study", "lab"), ("laws", "study"), ("lab", "api"), ("lab", "scale"), ("cli", "dashboard"),
     ("dashboard", "lab"), ("envs", "attic")],
)  # fmt: skip
def test_a_wrong_import_is_seen(own, other):
    assert fault(own, other)


@pytest.mark.parametrize(("own", "other"), [("memory", "core"), ("lab", "memory"), ("laws", "learn"), ("cli", "lab")])
def test_a_right_import_is_not(own, other):
    assert fault(own, other) is None


def test_names_become_objects_in_one_file():
    """Outside it, a registry is only looked at for its names."""
    found = []
    for path in files():
        own = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            indexed = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
            if indexed and node.value.id in {"MEMORIES", "ENCODERS", "ENVS", "ALGORITHMS"} and own != BUILDER:
                found.append(f"{own}:{node.lineno}")
    assert not found
