"""Run folders: each run makes its own, any spelling finds it, and no secret gets in."""

import errno
import json
import multiprocessing
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.lab.disk import Disk, DiskFull
from romanesco.lab.record import command, redact
from romanesco.lab.store import RunFolder, Status, find_run, new_folder, restore, save


class Full(Disk):
    def write(self, path, data):
        super().write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_full_disk_leaves_the_previous_json(tmp_path):
    run = RunFolder(tmp_path)
    run.status(Status("running", 1))
    with pytest.raises(DiskFull):
        RunFolder(tmp_path, disk=Full()).status(Status("finished", 1))
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "running"
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_run_gets_its_own_folder(tmp_path):
    one, two = (new_folder(tmp_path, "gymnasium:CartPole/v1", "mlp") for _ in range(2))
    assert one != two and one.parent == two.parent == tmp_path / "gymnasium-CartPole-v1" / "mlp"


def _new_named(root, queue):
    try:
        queue.put(str(new_folder(root, "cartpole", "mlp", name="twin")))
    except BadInput as error:
        queue.put(str(error))


def test_of_simultaneous_runs_with_one_name_one_is_refused(tmp_path):
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    jobs = [multiprocessing.get_context("spawn").Process(target=_new_named, args=(tmp_path, queue)) for _ in range(2)]
    for job in jobs:
        job.start()
    answers = sorted((queue.get() for _ in jobs), key=len)
    for job in jobs:
        job.join()
    folder = str(tmp_path / "cartpole" / "mlp" / "twin")
    assert answers[0] == folder and folder in answers[1] and "not empty" in answers[1]


@pytest.mark.parametrize("name", ["a/b", "..", "<img onerror=x>", "ä", "", ".hidden"])
def test_unsafe_names_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match="name="):
        new_folder(tmp_path, "cartpole", "mlp", name=name)
    assert not list(tmp_path.rglob("run.lock"))


def test_json_is_strict_and_short(tmp_path):
    values = {"a": float("nan"), "b": np.float32(0.1), "c": [float("inf"), jnp.ones(())]}
    RunFolder(tmp_path).write_json("x.json", values)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"a": None, "b": 0.1, "c": [None, 1.0]} and "0.1," in text


# Finding runs


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs in an awkward place, from which the working directory is elsewhere."""
    root = tmp_path / "Räume [1] (a=b)" / "runs"
    for i, name in enumerate(["20260101-000000-abc123", "20260101-000000-abd456", "c35"]):
        folder = new_folder(root, "cartpole", "mlp", name=name)
        (folder / "config.yaml").write_text("preset: cartpole/mlp\n")
        os.utime(folder / "config.yaml", (i, i))
        save(folder, 10, jnp.ones(1), {})
    (tmp_path / "link").symlink_to(root / "cartpole" / "mlp" / "c35")
    (tmp_path / "allruns").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROMANESCO_RUNS", str(root))
    return root


@pytest.mark.parametrize(
    "spec",
    [
        "{root}/cartpole/mlp/c35",
        "{root}/cartpole/mlp/c35/",
        "{root}/cartpole/mlp/../mlp/c35",
        "link",
        "./link/",
        "allruns/cartpole/mlp/c35",
        "cartpole/mlp/c35",
        "c35",
        "c3",
        "latest",
    ],
)
def test_a_run_has_many_names(runs, spec):
    assert find_run(spec.format(root=runs)).resolve() == (runs / "cartpole" / "mlp" / "c35").resolve()


@pytest.mark.parametrize("spec", ["abc", "abc123", "20260101-000000-abc"])
def test_a_unique_start_of_an_id_is_enough(runs, spec):
    assert find_run(spec).name == "20260101-000000-abc123"


@pytest.mark.parametrize(
    "spec, words",
    [
        ("{root}/cartpole/mlp/c35/checkpoints/10/", ["checkpoint", "mlp/c35"]),
        ("{root}/cartpole/mlp/c35/checkpoints", ["checkpoint", "mlp/c35"]),
        ("link/config.yaml", ["part of a run", "link"]),
        ("{root}/cartpole/mlp", ["3 runs", "c35", "abc123", "abd456"]),
        ("cartpole/mlp", ["3 runs", "c35"]),
        ("ab", ["ambiguous", "abc123", "abd456"]),
        ("c36", ["did you mean `c35`"]),
        ("cartpole/mlp/c36", ["did you mean `cartpole/mlp/c35`"]),
        ("nowhere/at/all", ["no run"]),
    ],
)
def test_what_is_no_run_is_answered_with_what_is(runs, spec, words):
    with pytest.raises(BadInput) as refusal:
        find_run(spec.format(root=runs))
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_a_moved_run_is_found_and_loads(runs, tmp_path):
    (runs / "cartpole" / "mlp" / "c35").rename(tmp_path / "moved")
    assert restore(find_run("moved"), jnp.ones(1))[2] == 10


def test_latest_of_nothing_says_so(tmp_path):
    with pytest.raises(BadInput, match="no run in"):
        find_run("latest", tmp_path)


# Secrets


def test_a_planted_secret_appears_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "planted-0123456789")
    monkeypatch.setenv("JAX_SECRET_TOKEN", "planted-jax")
    run = RunFolder(tmp_path)
    run.record(["romanesco", "train", "log.wandb.api_key=planted-1", "--token", "planted-2", "x=planted-0123456789"])
    run.status(Status("failed", 1, error="401 for https://me:planted-3@host: api_key='planted-4'"))
    text = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert "planted" not in text and "log.wandb.api_key=***" in text


def test_ordinary_settings_and_code_stay_readable():
    argv = ["romanesco", "train", "cartpole/attention", "encoder.tokens=[[0,2],[1,3]]", "memory.key_size=8"]
    assert command(argv).split(" ", 3)[3] == "'encoder.tokens=[[0,2],[1,3]]' memory.key_size=8"
    code = "key = jax.random.key(0)\nk_act, key = split(key)\nagent(key=key)\n"
    assert redact(code) == code


def test_the_record_says_what_ran(tmp_path):
    run = RunFolder(tmp_path)
    run.record(["romanesco", "train", "quickstart"], device="cpu")
    version = json.loads((tmp_path / "version.json").read_text())
    assert (tmp_path / "command.txt").read_text() == "romanesco train quickstart\n"
    assert version["dependencies"]["jax"] == jax.__version__ and version["device"] == "cpu"
