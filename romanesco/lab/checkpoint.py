"""Checkpoints: the whole state of a run, verified before it is trusted.

`checkpoints/<step>/` holds `state.0.safetensors` (arrays), `state.json` (counters, byte offsets of the logs) and
`manifest.json` (size and SHA-256 of both files; path, shape and dtype of every array). A folder of that name is
whole: it was written as `.<step>.tmp`, synced and renamed. `latest.json` and `best.json` announce; nothing reads them.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.lab.arrays import differences, pack, unpack
from romanesco.lab.disk import DISK, Disk, replace, replace_folder

VERSION = 1
ARRAYS, COUNTERS, MANIFEST = "state.0.safetensors", "state.json", "manifest.json"
LOGS = ("metrics.jsonl", "evals.jsonl")


class Damaged(Exception):
    """A checkpoint that is not what was saved; the message is the reason."""


def _place(folder: Path, group: str | None) -> Path:
    return Path(folder) / "checkpoints" / (group or "")


def _announce(folder: Path, group: str | None, name: str) -> Path:
    return (_place(folder, group) if group else Path(folder)) / name


def steps(folder: Path, *, group: str | None = None) -> list[int]:
    """The steps of all checkpoints, oldest first; whether they are sound is seen when they are restored."""
    place = _place(folder, group)
    return sorted(int(p.name) for p in place.iterdir() if re.fullmatch(r"\d+", p.name)) if place.is_dir() else []


def _dump(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _sealed(manifest: dict) -> bytes:
    """The manifest with its own digest: a flipped bit in it is found too."""
    return _dump({**manifest, "sha256": hashlib.sha256(_dump(manifest)).hexdigest()})


def _store(target: Path, tree: Any, counters: dict, logs: list[Path], disk: Disk) -> None:
    data, arrays = pack(tree)
    offsets = {path.name: path.stat().st_size for path in logs}
    files = {ARRAYS: data, COUNTERS: _dump({**counters, "offsets": offsets})}
    listed = {name: {"size": len(x), "sha256": hashlib.sha256(x).hexdigest()} for name, x in files.items()}
    manifest = _sealed({"version": VERSION, "files": listed, "arrays": arrays})
    replace_folder(target, {**files, MANIFEST: manifest}, synced=logs, disk=disk)


def save(
    folder: Path,
    step: int,
    tree: Any,
    counters: dict,
    *,
    keep: int = 3,
    group: str | None = None,
    disk: Disk = DISK,
) -> Path:
    """Saves a state as `checkpoints/<step>` and prunes older ones; `counters` is plain JSON.

    The sizes of metrics.jsonl and evals.jsonl are added to it as `offsets`, so flush the logs first. Raises `DiskFull`
    where there is no room: nothing older was touched and the temporary is gone. `group` names a further group of
    seeds, which lives in `checkpoints/<group>/`.
    """
    target = _place(folder, group) / str(step)
    _store(target, tree, counters, [p for p in (Path(folder) / name for name in LOGS) if p.exists()], disk)
    replace(_announce(folder, group, "latest.json"), _dump({"version": VERSION, "step": step}), disk=disk)
    prune(folder, keep=keep, group=group, disk=disk)
    return target


def save_best(folder: Path, tree: Any, counters: dict, *, group: str | None = None, disk: Disk = DISK) -> Path:
    """Saves the best policies as `checkpoints/best`, in place of the former; `best.json` announces the counters."""
    target = _place(folder, group) / "best"
    _store(target, tree, counters, [], disk)
    replace(_announce(folder, group, "best.json"), _dump({"version": VERSION, **counters}), disk=disk)
    return target


def prune(folder: Path, *, keep: int, group: str | None = None, disk: Disk = DISK) -> None:
    """Removes all but the newest `keep` checkpoints, once the newest is seen to be sound; never `best`."""
    found = steps(folder, group=group)
    place = _place(folder, group)
    old = found[: max(len(found) - max(keep, 1), 0)]
    try:
        if old:
            verify(place / str(found[-1]))
    except Damaged:
        return
    for step in old:
        hidden = place / f".{step}.tmp"  # a removal cut short leaves no half checkpoint
        disk.remove(hidden)
        disk.rename(place / str(step), hidden)
        disk.remove(hidden)


def clean(folder: Path, *, group: str | None = None, disk: Disk = DISK) -> None:
    """Removes what a killed save left behind, and finishes or undoes a replacement; call it with the lock held."""
    place = _place(folder, group)
    for old in sorted(place.glob(".*.old")):
        target = place / old.name[1:-4]
        if target.exists():
            disk.remove(old)
        else:
            disk.rename(old, target)
    for temporary in [*place.glob(".*.tmp"), *Path(folder).glob(".*.tmp")]:
        disk.remove(temporary)


def verify(path: Path) -> tuple[bytes, dict, dict]:
    """-> array bytes, counters, array descriptions of a sound checkpoint; else raises `Damaged` with the reason.

    A sound checkpoint of a newer format is `BadInput`.
    """
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        manifest.pop("sha256")
        sound = _sealed(manifest) == raw
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Damaged(f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    if not sound:
        raise Damaged(f"{MANIFEST} does not match its SHA-256")
    if manifest["version"] > VERSION:
        newer = f"checkpoint format {manifest['version']}, this romanesco reads up to {VERSION}"
        raise BadInput(f"{path}: {newer}; update romanesco")
    data = {name: _checked(path / name, manifest["files"][name]) for name in (ARRAYS, COUNTERS)}
    return data[ARRAYS], json.loads(data[COUNTERS]), manifest["arrays"]


def _checked(path: Path, entry: dict) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read ({type(error).__name__})") from error
    if len(data) != entry["size"]:
        raise Damaged(f"{path.name} has {len(data)} bytes, saved were {entry['size']}")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise Damaged(f"{path.name} does not match its SHA-256")
    return data


def _candidates(folder: Path, checkpoint: str | int, group: str | None) -> list[Path]:
    place = _place(folder, group)
    if checkpoint == "best":
        return [p for p in (place / "best", place / ".best.old") if p.is_dir()]
    found = [s for s in reversed(steps(folder, group=group)) if checkpoint in ("latest", s)]
    return [place / str(s) for s in found]


def _set_aside(path: Path) -> None:
    """Renames a damaged folder to `<step>.corrupt`; where it cannot (a read-only disk), it stays."""
    names = (path.with_name(f"{path.name}.corrupt{end}") for end in ("", *(f".{i}" for i in range(2, 100))))
    try:
        path.rename(next(name for name in names if not name.exists()))
    except OSError:
        return


def read(
    folder: Path, *, checkpoint: str | int = "latest", strict: bool = False, mark: bool = True, group: str | None = None
) -> tuple[bytes, dict, dict, Path, list[str]]:
    """The newest sound state, as `verify` gives it -> array bytes, counters, array descriptions, its folder, notes.

    `checkpoint` is "latest", "best" or a step. A damaged one is skipped for the next older, with a note of the
    reason, and renamed to `<step>.corrupt` unless `mark` is False (readers without the lock); `strict` stops there.
    Raises `BadInput` where nothing sound is left.
    """
    notes: list[str] = []
    for path in _candidates(folder, checkpoint, group):
        try:
            return *verify(path), path, notes
        except Damaged as damage:
            notes.append(f"checkpoint {path.name} of {folder} is damaged: {damage}")
            if strict:
                raise BadInput(f"{notes[-1]}; without strict the next older one is used") from damage
            if mark:
                _set_aside(path)
    kind = "checkpoint" if checkpoint == "latest" else f"checkpoint `{checkpoint}`"
    known = ", ".join(map(str, steps(folder, group=group))) or "none"
    reason = "; ".join(notes) or "nothing was saved"
    raise BadInput(f"{folder}: no {kind} that can be loaded (there: {known}); {reason}")


def restore(
    folder: Path,
    like: Any,
    *,
    checkpoint: str | int = "latest",
    strict: bool = False,
    mark: bool = True,
    group: str | None = None,
) -> tuple[Any, dict, int | None, list[str]]:
    """The newest sound state -> (tree as `like`, counters with `offsets`, step, notes); as `read` chooses it.

    The step of "best" is None. Raises `BadInput` where the structure differs, path by path.
    """
    data, counters, arrays, path, notes = read(folder, checkpoint=checkpoint, strict=strict, mark=mark, group=group)
    wrong = differences(arrays, like)
    if wrong:
        raise BadInput(f"{path}: the saved state has another structure: {'; '.join(wrong)}")
    return unpack(data, arrays, like), counters, int(path.name) if path.name.isdigit() else None, notes
