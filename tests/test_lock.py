"""One writer a run folder (law K6), with and without flock."""

import errno
import json
import os
import subprocess
import sys

import pytest

from romanesco.core.errors import BadInput
from romanesco.lab.lock import Lock, Owner

HOLD = """
import sys, time
from romanesco.lab.lock import Lock
{before}
with Lock(sys.argv[1], say=lambda text: None):
    print("held", flush=True)
    time.sleep(60)
"""
NO_FLOCK = "import fcntl, os\ndef broken(*_): raise OSError({0}, os.strerror({0}))\nfcntl.flock = broken"


@pytest.fixture
def holder(tmp_path):
    """Starts processes that hold the lock of `tmp_path`; kills what is left of them."""
    jobs = []

    def start(before=""):
        command = [sys.executable, "-c", HOLD.format(before=before), str(tmp_path)]
        job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        jobs.append(job)
        assert job.stdout and job.stdout.readline() == "held\n"
        return job

    yield start
    for job in jobs:
        job.kill()
        job.wait()
        job.stdout.close()


def without_flock(monkeypatch, number):
    def broken(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", broken)


def test_second_writer_is_refused_by_name(tmp_path, holder):
    job = holder()
    with pytest.raises(BadInput) as refusal, Lock(tmp_path):
        pass
    assert str(tmp_path) in str(refusal.value) and str(job.pid) in str(refusal.value)


def test_lock_is_free_after_kill_9(tmp_path, holder):
    job = holder()
    job.kill()
    job.wait()
    with Lock(tmp_path):
        owner = Owner.read(tmp_path / "owner.json")
        assert owner is not None and owner.pid == os.getpid() and owner.counter == 2


def test_lock_is_free_after_leaving(tmp_path):
    for _ in range(2):
        with Lock(tmp_path):
            assert (tmp_path / "owner.json").exists()
        assert not (tmp_path / "owner.json").exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    ready, leave = os.pipe(), os.pipe()
    with Lock(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(ready[1], b".")
            os.read(leave[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    with Lock(tmp_path):  # the child still lives
        os.write(leave[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    for end in (*ready, *leave):
        os.close(end)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_flock_one_warning_and_the_owner_file_refuses(tmp_path, holder, monkeypatch, number):
    job = holder(NO_FLOCK.format(number))
    without_flock(monkeypatch, number)
    said = []
    with pytest.raises(BadInput, match=str(job.pid)), Lock(tmp_path, say=said.append):
        pass
    assert len(said) == 1 and "lock" in said[0]


def test_without_flock_a_killed_owner_is_replaced(tmp_path, holder, monkeypatch):
    job = holder(NO_FLOCK.format(errno.ENOSYS))
    job.kill()
    job.wait()
    without_flock(monkeypatch, errno.ENOSYS)
    with Lock(tmp_path, say=lambda text: None):
        assert json.loads((tmp_path / "owner.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "change, alive", [({}, True), ({"start": "1"}, False), ({"boot": "x"}, False), ({"host": "y"}, True)]
)
def test_an_owner_is_its_host_boot_pid_and_start(change, alive):
    """A pid that another process got since is not the owner; a foreign host cannot be judged."""
    here = Owner.here(1)
    assert Owner(**{**vars(here), **change}).alive() is alive


def test_other_errors_of_flock_are_not_swallowed(tmp_path, monkeypatch):
    without_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"), Lock(tmp_path):
        pass
