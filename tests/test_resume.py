"""Killed, interrupted, damaged, extended: a run goes on as if nothing had happened (laws K2, K3)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SMALL = ["cartpole/gru", "num_envs=4", "algorithm.horizon=32", "algorithm.epochs=2", "algorithm.minibatches=2",
         "algorithm.normalize=both", "seeds=2", "eval.episodes=2", "eval.final_episodes=20",
         "eval.every=4000", "checkpoint.every=1500", "log.every=700", "log.sinks=[jsonl]", "log.git_diff=false",
         "total_steps=16000"]  # fmt: skip


def romanesco(*args: str, cwd: Path, **how) -> subprocess.Popen:
    command = [sys.executable, "-m", "romanesco", *args]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)


def finished(*args: str, cwd: Path, status: int = 0) -> str:
    job = romanesco(*args, cwd=cwd)
    out, _ = job.communicate(timeout=300)
    assert job.returncode == status, out
    assert "Traceback" not in out
    return out


def timeless(run: Path, name: str) -> list[dict]:
    rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("time")} for row in rows]


def same(run: Path, other: Path) -> None:
    for name in ("metrics.jsonl", "evals.jsonl"):
        assert timeless(run, name) == timeless(other, name), name
    assert (run / "results.json").read_bytes() == (other / "results.json").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole")
    finished("train", *SMALL, "name=run", cwd=root)
    return root / "runs/cartpole/gru/run"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    target = tmp_path / "runs/cartpole/gru/run"
    shutil.copytree(whole, target)
    return target


def kill(job: subprocess.Popen) -> None:
    job.kill()
    job.communicate()


def wait_for(path: Path, job: subprocess.Popen) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert job.poll() is None, job.stdout.read() if job.stdout else ""
        assert time.monotonic() < until
        time.sleep(0.02)


def test_killed_twice_and_resumed_it_is_the_undisturbed_run(whole, tmp_path):
    run = tmp_path / "runs/cartpole/gru/run"
    job = romanesco("train", *SMALL, "name=run", cwd=tmp_path)
    wait_for(run / "latest.json", job)
    kill(job)
    before = json.loads((run / "latest.json").read_text())["step"]
    job = romanesco("train", "--resume", str(run), cwd=tmp_path)
    while job.poll() is None and json.loads((run / "latest.json").read_text())["step"] == before:
        time.sleep(0.02)
    kill(job)
    finished("train", "--resume", str(run), cwd=tmp_path)
    same(run, whole)


def test_ctrl_c_saves_says_how_to_go_on_and_loses_nothing(whole, tmp_path):
    run = tmp_path / "runs/cartpole/gru/run"
    job = romanesco("train", *SMALL, "name=run", cwd=tmp_path, start_new_session=True)
    wait_for(run / "latest.json", job)
    os.killpg(job.pid, signal.SIGINT)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 130 and "--resume" in out and "Traceback" not in out
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    finished("train", "--resume", str(run), cwd=tmp_path)
    same(run, whole)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(whole, copy):
    newest = max((copy / "checkpoints").glob("[0-9]*"), key=lambda p: int(p.name))
    data = newest / "state.0.safetensors"
    data.write_bytes(data.read_bytes()[:-1])
    out = finished("train", "--resume", str(copy), cwd=copy)
    assert "damaged" in out and newest.name in out
    same(copy, whole)


def test_without_a_sound_checkpoint_there_is_one_line_and_status_2(copy):
    for data in (copy / "checkpoints").glob("*/state.0.safetensors"):
        data.write_bytes(b"")
    out = finished("train", "--resume", str(copy), cwd=copy, status=2)
    assert "checkpoint" in out


def test_more_seeds_are_a_further_group_equal_to_a_run_of_their_own(copy, tmp_path):
    finished("train", "--resume", str(copy), "seeds=3", cwd=copy)
    finished("train", *SMALL, "seed=2", "seeds=1", "name=alone", cwd=tmp_path)
    alone = tmp_path / "runs/cartpole/gru/alone"
    assert [r for r in timeless(copy, "metrics.jsonl") if r["seed"] == 2] == timeless(alone, "metrics.jsonl")
    results = json.loads((copy / "results.json").read_text())["seeds"]
    assert [r["seed"] for r in results] == [0, 1, 2]


def test_a_longer_budget_goes_on_from_the_end(copy):
    finished("train", "--resume", str(copy), "total_steps=20000", cwd=copy)
    steps = [row["step"] for row in timeless(copy, "metrics.jsonl") if row["seed"] == 0]
    assert steps == sorted(set(steps)) and steps[-1] >= 20000


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path):
    job = romanesco("train", *SMALL, "total_steps=1e7", "name=run", cwd=tmp_path)
    run = tmp_path / "runs/cartpole/gru/run"
    wait_for(run / "latest.json", job)
    out = finished("train", "--resume", str(run), cwd=tmp_path, status=2)
    assert str(job.pid) in out
    finished("eval", str(run), "--episodes", "2", cwd=tmp_path)
    finished("report", str(run), cwd=tmp_path)
    kill(job)
