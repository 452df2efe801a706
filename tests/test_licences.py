"""What installing romanesco brings along is under no GPL or AGPL, but for exceptions that are named here."""

import email
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
COPYLEFT = re.compile(r"\bA?GPL|Affero|(?<!Lesser )(?<!Library )General Public License", re.IGNORECASE)
ALLOWED = {
    "ale-py": "GPL-2.0-only, and installed only by an extra of its own",
    "docutils": "an editor mode of it is under the GPL; it is a tool of the documentation",
    "memory-maze": "MIT, which its metadata leaves out",
    "huey": "MIT, which its metadata leaves out",
}
WITH_ALE = {"atari", "all"}  # extras that may bring ale-py

Needs = Callable[[str], Iterable[str] | None]  # of a package; None where it is not installed


def installed(name: str) -> list[str] | None:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None


def closure(wanted: Iterable[str], needs: Needs = installed) -> set[str]:
    """The names of all packages that these requirements bring along; what those need that are not installed is not
    known."""
    reached: set[tuple[str, str]] = set()
    todo = [(Requirement(text), "") for text in wanted]
    while todo:
        one, extra = todo.pop()
        if one.marker and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        for asked in {"", *one.extras} - {extra for known, extra in reached if known == name}:
            reached.add((name, asked))
            todo += [(Requirement(text), asked) for text in needs(name) or ()]
    return {name for name, _ in reached}


def licence(about: metadata.PackageMetadata) -> str:
    """What a package's metadata says of its licence, in one line; texts of licences are cut after their title."""
    said = [about.get("License-Expression"), *(about.get("License") or "").splitlines()[:1]]
    said += [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    return "; ".join(filter(None, said))


def faults(names: Iterable[str]) -> Iterator[str]:
    for name in sorted(set(names) - set(ALLOWED)):
        if installed(name) is not None:
            said = licence(metadata.metadata(name))
            if not said or COPYLEFT.search(said):
                yield f"{name}: {said or 'no licence'}"


def test_nothing_that_is_installed_is_under_the_gpl():
    everything = closure([*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)])
    assert {"jax", "numpy", "pytest", "docutils"} <= everything
    assert not list(faults(everything))


@pytest.mark.parametrize("extra", ["", *sorted(set(EXTRAS) - WITH_ALE)])
def test_ale_comes_only_with_its_extra(extra):
    assert "ale-py" not in closure([*PROJECT["dependencies"], *EXTRAS.get(extra, [])])


@pytest.mark.parametrize(
    ("header", "wrong"),
    [("License-Expression: GPL-2.0-only", True),
     ("License: AGPLv3", True),
     ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
     ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", True),
     ("Classifier: License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)", False),
     ("License-Expression: LGPL-2.1-or-later", False),
     ("License-Expression: MPL-2.0", False),
     ("License: MIT\n        unlike the GNU General Public License", False)],
)  # fmt: skip
def test_copyleft_is_told_from_the_rest(header, wrong):
    assert bool(COPYLEFT.search(licence(email.message_from_string(header)))) == wrong


def test_what_comes_along_is_found_through_markers_and_extras():
    needs = {"a": ['b; extra == "x"', 'c; python_version < "3"', "d[y]"], "d": ['e; extra == "y"', "a"]}.get
    assert closure(["A[x]"], needs) == {"a", "b", "d", "e"}
    assert closure(["a"], needs) == {"a", "d", "e"}


def test_the_package_carries_its_licence_and_notice():
    assert set(PROJECT["license-files"]) == {"LICENSE", "NOTICE"}
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(path.name in notice for path in (ROOT / "tests" / "parity").glob("*.npz") if path.stem != "inputs")
