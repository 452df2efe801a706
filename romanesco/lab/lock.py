"""One writer a run folder: `flock` on run.lock, and owner.json where the file system knows no flock."""

import dataclasses
import errno
import fcntl
import json
import os
import socket
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from romanesco.core.errors import BadInput

UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # how a file system says that it has no flock


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty where there is none, or no /proc."""
    return " ".join(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19:20])


@dataclasses.dataclass(frozen=True)
class Owner:
    """owner.json: who writes here. `counter` counts the owners that the folder had."""

    host: str
    pid: int
    start: str
    boot: str
    counter: int

    @staticmethod
    def here(counter: int) -> "Owner":
        boot = _read("/proc/sys/kernel/random/boot_id").strip()
        return Owner(socket.gethostname(), os.getpid(), _start(os.getpid()), boot, counter)

    @staticmethod
    def read(path: Path) -> "Owner | None":
        try:
            return Owner(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def alive(self) -> bool:
        """Whether that process still runs; of another host it cannot be known, so yes."""
        here = Owner.here(0)
        if self.host != here.host:
            return True
        if self.boot != here.boot:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return self.start == _start(self.pid)


class Lock:
    """`with Lock(folder):` only one process gets in; the others raise `BadInput` naming folder and owner.

    Gone with the process, however it dies; neither forked nor spawned children keep it. Readers need none. Where
    `flock` is unknown, `say` gets one warning, and a live owner in owner.json (host, pid, start of the process) is
    what refuses; on another host it cannot be seen to be dead, so the file has to be removed by hand.
    """

    def __init__(self, folder: str | Path, *, say: Callable[[str], Any] = warnings.warn):
        self.folder, self._say = Path(folder), say
        self._file = self.folder / "owner.json"
        self._handle: int | None = None

    def __enter__(self) -> "Lock":
        handle = os.open(self.folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            self._refuse()
        except OSError as error:
            os.close(handle)
            if error.errno not in UNKNOWN:
                raise
            self._say(f"{self.folder}: this file system has no lock ({os.strerror(error.errno)}); owner.json stands in")
            self._claim()
            return self
        self._handle = handle
        self._drop_in_children()
        before = Owner.read(self._file)
        self._file.unlink(missing_ok=True)
        self._create(before)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _drop_in_children(self) -> None:
        """A forked child shares the open file and with it the lock: it closes its copy at once."""
        me = weakref.ref(self)

        def close() -> None:
            lock = me()
            if lock is not None and lock._handle is not None:
                os.close(lock._handle)
                lock._handle = None

        os.register_at_fork(after_in_child=close)

    def _create(self, before: Owner | None) -> bool:
        """Writes owner.json; False where there is one already."""
        try:
            with open(self._file, "x") as file:
                json.dump(dataclasses.asdict(Owner.here(before.counter + 1 if before else 1)), file)
        except FileExistsError:
            return False
        return True

    def _claim(self) -> None:
        """The lock by owner.json alone: a dead owner's file is moved aside, and put back if it was not that one."""
        before = self._settled()
        if before and before.alive():
            self._refuse()
        if self._file.exists():
            aside = self._file.with_name(f".owner.{os.getpid()}.tmp")
            os.rename(self._file, aside)
            if Owner.read(aside) != before:
                os.rename(aside, self._file)
            aside.unlink(missing_ok=True)
        if not self._create(before):
            self._refuse()

    def _settled(self) -> Owner | None:
        """owner.json; where it is half written, a second later."""
        deadline = time.monotonic() + 1
        while (owner := Owner.read(self._file)) is None and self._file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return owner

    def _refuse(self) -> NoReturn:
        deadline = time.monotonic() + 1
        while not ((owner := Owner.read(self._file)) and owner.alive()) and time.monotonic() < deadline:
            time.sleep(0.02)  # its writer holds the lock a moment before it has written the file
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        remedy = f"; if that host is gone, remove {self._file}" if owner and owner.host != socket.gethostname() else ""
        raise BadInput(f"{self.folder} is being written by {who}: wait for it, or stop it{remedy}")
