"""The file operations of a save, one method each: a test stops after any of them, or fills the disk at any write."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(OSError):
    """A save found no room. What was saved before is intact, and the half-written temporary is gone."""


class Disk:
    """The operations that change a folder. Durable once `sync` was called on file and folder."""

    def mkdir(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def sync(self, path: Path) -> None:
        """fsync of a file or a folder."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """A file or a whole folder; nothing where there is none."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


DISK = Disk()


def replace(path: Path, data: bytes, *, disk: Disk = DISK) -> None:
    """Writes a file whole or not at all: temporary, fsync, rename, fsync of the folder.

    Raises `DiskFull` where there is no room; the old content stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        disk.write(temporary, data)
        disk.sync(temporary)
        disk.rename(temporary, path)
        disk.sync(path.parent)
    except OSError as error:
        disk.remove(temporary)
        explain(error, path)


def replace_folder(target: Path, files: dict[str, bytes], *, synced: Sequence[Path] = (), disk: Disk = DISK) -> None:
    """The folder `target` with these files, whole or not at all; an older one of that name is there until it is.

    `synced` are further files that must be durable with it. Raises `DiskFull` where there is no room.
    """
    temporary, old = (target.with_name(f".{target.name}.{end}") for end in ("tmp", "old"))
    try:
        disk.remove(temporary)
        disk.mkdir(temporary)
        for name, data in files.items():
            disk.write(temporary / name, data)
        for path in [*(temporary / name for name in files), *synced, temporary]:
            disk.sync(path)
        if target.exists():
            disk.remove(old)
            disk.rename(target, old)
        disk.rename(temporary, target)
        disk.sync(target.parent)
        disk.remove(old)
    except OSError as error:
        disk.remove(temporary)
        if old.exists() and not target.exists():
            disk.rename(old, target)
        explain(error, target)


def explain(error: OSError, path: Path) -> NoReturn:
    """Raises the error again, as `DiskFull` where that is what it means."""
    if error.errno in FULL and not isinstance(error, DiskFull):
        reason = f"no room to save; what was saved before is intact: {os.strerror(error.errno)}"
        raise DiskFull(error.errno, reason, str(path)) from error
    raise error
