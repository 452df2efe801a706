"""An export is loaded without its run or its world, acts bit for bit as the run does, and nothing strange gets in."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from untrained import write

import romanesco as rm
from romanesco import cli
from romanesco.core.errors import BadInput
from romanesco.lab.build import Objects
from romanesco.lab.exported import FILES, KINDS
from romanesco.lab.words import Export

pytestmark = pytest.mark.slow

AGENTS = {
    "pendulum/mlp": ["algorithm.normalize=both"],
    "cartpole/gru": ["algorithm.normalize=obs"],
    "quickstart": ["env.corridor_length=5", "memory.head_size=4", "memory.ffn=8"],
}
PLAY = """
import sys, numpy as np
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("gymnasium", "gymnax") or name == "romanesco.envs.pure":
            raise ImportError(name + " is not needed to load a policy")
sys.meta_path.insert(0, Refused())
import romanesco as rm
policy = rm.load(sys.argv[1])
obs = np.frombuffer(open(sys.argv[2], "rb").read(), "float32")
obs = obs.reshape(-1, 2, *policy.observation_space.shape)
policy.reset(batch=2)
actions = [policy(x, first=np.array([t == 5, False])) for t, x in enumerate(obs)]
sys.stdout.write(np.stack(actions).tobytes().hex())
"""


def played(policy, obs: np.ndarray) -> bytes:
    policy.reset(batch=2)
    return np.stack([policy(x, first=np.array([t == 5, False])) for t, x in enumerate(obs)]).tobytes()


def export(*words: object) -> int:
    return cli.run(["export", *map(str, words)])


@pytest.fixture(scope="module", params=AGENTS)
def run(request, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("runs") / "task/agent/run", request.param, *AGENTS[request.param])


@pytest.fixture(scope="module")
def mlp(tmp_path_factory) -> Path:
    return write(
        tmp_path_factory.mktemp("runs") / "cartpole/mlp/run", "cartpole/mlp", "algorithm.normalize=obs", seeds=3
    )


@pytest.fixture
def out(mlp: Path, tmp_path: Path) -> Path:
    assert export(mlp, "--to", tmp_path / "out", "--seed", 1) == 0
    return tmp_path / "out"


def test_a_fresh_process_without_run_and_world_takes_the_same_actions(run, tmp_path):
    policy, to = rm.load(run, 1), tmp_path / "out"
    seen: Any = policy.observation_space
    assert export(run, "--to", to, "--seed", 1) == 0
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(20, 2, *seen.shape)).astype(np.float32)
    (tmp_path / "obs").write_bytes(obs.tobytes())
    moved = run.rename(run.with_name("hidden"))
    try:
        command = [sys.executable, "-c", PLAY, str(to), str(tmp_path / "obs")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    finally:
        moved.rename(run)
    assert done.returncode == 0, done.stderr
    assert bytes.fromhex(done.stdout) == played(policy, obs)


def test_a_run_and_its_export_score_the_same(mlp, out, capsys):
    scores = []
    for name in (mlp, out):
        assert cli.run(["eval", str(name), "--episodes", "3", "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0]["seeds"]["1"] == scores[1]["seeds"]["1"] and list(scores[1]["seeds"]) == ["1"]
    assert cli.run(["eval", str(out), "--episodes", "2", "env.gravity=20"]) == 0


def test_what_lies_in_an_export(mlp, out):
    about = json.loads((out / "config.json").read_text())
    assert set(about) == {f.name for f in dataclasses.fields(Export)} == set(KINDS)
    assert about["seed"] == 1 and about["step"] == 256 and about["selected"] is None
    assert about["sha256"] == hashlib.sha256((out / "policy.safetensors").read_bytes()).hexdigest()
    assert (out / "results.json").read_bytes() == (mlp / "results.json").read_bytes()
    names = safetensors.numpy.load_file(out / "policy.safetensors")
    assert {name.split(".")[0] for name in names} == {"agent", "normalizer"}
    assert {p.name for p in out.iterdir()} <= set(FILES) and not list(out.parent.glob(".*"))


def test_best_of_seeds_and_of_checkpoints_is_labelled(mlp, tmp_path, capsys):
    assert export(mlp, "--to", tmp_path / "best", "--seed", "best", "--checkpoint", "best") == 0
    assert "selected" in capsys.readouterr().out
    policy = rm.load(tmp_path / "best")
    assert policy.seed == 2 and rm.load(mlp, "best").seed == 1
    assert policy.selected and "best of 3 seeds" in policy.selected
    assert rm.load(mlp, "best", "best").selected == policy.selected
    assert rm.load(mlp).selected is None and rm.load(mlp).seed == 0
    with pytest.raises(BadInput, match="seeds 0, 1, 2"):
        rm.load(mlp, 7)
    with pytest.raises(BadInput, match="has seed 1"):
        assert export(mlp, "--to", tmp_path / "one", "--seed", 1) == 0
        rm.load(tmp_path / "one", 0)


def test_every_checkpoint_can_be_exported(mlp, tmp_path):
    assert export(mlp, "--to", tmp_path / "old", "--checkpoint", 128) == 0
    assert json.loads((tmp_path / "old/config.json").read_text())["step"] == 128
    assert export(mlp, "--to", tmp_path / "none", "--checkpoint", 17) == 2
    assert not (tmp_path / "none").exists()


def test_nothing_is_overwritten(mlp, out, tmp_path, capsys):
    before = (out / "policy.safetensors").read_bytes()
    assert export(mlp, "--to", out) == 2 and "--force" in capsys.readouterr().err
    assert (out / "policy.safetensors").read_bytes() == before
    assert export(mlp, "--to", out, "--force") == 0 and (out / "policy.safetensors").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    assert export(mlp, "--to", tmp_path / "mine", "--force") == 2 and "thesis.tex" in capsys.readouterr().err
    assert export(mlp, "--to", mlp / "inside") == 2
    assert export(out, "--to", tmp_path / "again") == 2 and "is an export" in capsys.readouterr().err


def changed(out: Path, **values) -> None:
    about = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**about, **values}))


def tensors(out: Path, change) -> None:
    """Other arrays, with the hash that fits them."""
    arrays = safetensors.numpy.load_file(out / "policy.safetensors")
    data = safetensors.numpy.save(change(arrays))
    (out / "policy.safetensors").write_bytes(data)
    changed(out, sha256=hashlib.sha256(data).hexdigest())


def link(out: Path) -> None:
    (out / "policy.safetensors").rename(out.parent / "elsewhere")
    (out / "policy.safetensors").symlink_to(out.parent / "elsewhere")


def without(about: Path, key: str) -> None:
    said = json.loads(about.read_text())
    del said[key]
    about.write_text(json.dumps(said))


THREE = np.zeros(3, np.float32)
NAN = np.full(64, np.nan, np.float32)
FIRST = "agent.actor.layers[0].bias"
DAMAGE = {
    "unknown file extra.py": lambda out: (out / "extra.py").write_text(""),
    "is a link": link,
    "policy.safetensors is missing": lambda out: (out / "policy.safetensors").unlink(),
    "config.json is missing": lambda out: (out / "config.json").unlink(),
    "SHA-256": lambda out: (out / "policy.safetensors").write_bytes(b"x" * 99),
    "format 2": lambda out: changed(out, version=2, romanesco="9.0"),
    "is no JSON": lambda out: (out / "config.json").write_text("{"),
    "unknown key `hook`": lambda out: changed(out, hook="os.system"),
    "`seed` is missing": lambda out: without(out / "config.json", "seed"),
    "`seed` is str": lambda out: changed(out, seed="1"),
    "nested deeper": lambda out: changed(out, config={"a": json.loads("[" * 30 + "]" * 30)}),
    "spaces cannot be read": lambda out: changed(out, observation_space={"box": "?"}),
    "no key `memory.cells`": lambda out: changed(
        out, config={**json.loads((out / "config.json").read_text())["config"], "memory": {"name": "none", "cells": 1}}
    ),
    "is not finite": lambda out: tensors(out, lambda x: {**x, FIRST: NAN}),
    rf"{FIRST}: float32.* is missing": lambda out: tensors(out, lambda x: {k: v for k, v in x.items() if k != FIRST}),
    "agent.more: float32.* is only": lambda out: tensors(out, lambda x: {**x, "agent.more": THREE}),
    "saved float32.3., asked for float32.64.": lambda out: tensors(out, lambda x: {**x, FIRST: THREE}),
}  # fmt: skip


@pytest.mark.parametrize("said", DAMAGE)
def test_what_is_damaged_or_foreign_is_refused_in_one_line(said, out):
    DAMAGE[said](out)
    with pytest.raises(BadInput, match=said.replace("[0]", r"\[0\]")) as caught:
        rm.load(out)
    assert "\n" not in str(caught.value)


def test_the_world_of_an_export_may_import_nothing(out, capsys):
    said = json.loads((out / "config.json").read_text())["config"]
    changed(out, config={**said, "env": {"name": "gymnasium:antigravity:Up-v0"}})
    assert rm.load(out)(np.zeros(4)).shape == ()
    assert cli.run(["eval", str(out)]) == 2
    assert "antigravity" in capsys.readouterr().err and "antigravity" not in sys.modules


def test_objects_are_asked_for_again(tmp_path):
    from romanesco.memory.gru import GRU

    path = write(tmp_path / "cartpole/own/run", "cartpole/gru", objects=Objects(memory=GRU))
    assert export(path, "--to", tmp_path / "out") == 0
    with pytest.raises(BadInput, match=r"memory=\.\.\."):
        rm.load(tmp_path / "out")
    obs = np.ones((20, 2, 4), np.float32)
    assert played(rm.load(tmp_path / "out", memory=GRU), obs) == played(rm.load(path, memory=GRU), obs)


def test_a_card_says_what_the_policy_is(mlp, tmp_path):
    import yaml

    assert export(mlp, "--to", tmp_path / "card", "--format", "card") == 0
    text = (tmp_path / "card/README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    final = json.loads((mlp / "results.json").read_text())["seeds"][0]["greedy"]["mean"]
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(final)
    assert "rm.load" in text and "education" in text and rm.load(tmp_path / "card").seed == 0


def test_scores_go_to_tables_of_others(mlp, tmp_path, capsys):
    other = tmp_path / "runs/cartpole/other/x"
    shutil.copytree(mlp, other)
    table, tree = tmp_path / "scores.csv", tmp_path / "scores.json"
    assert export(mlp, other, "--to", table, "--format", "csv") == 0
    assert cli.run(["compare", str(table)]) == 0
    assert len(table.read_text().splitlines()) == 4
    assert export(mlp, "--to", tree, "--format", "marl-eval") == 0
    (seeds,) = json.loads(tree.read_text())["cartpole"]["cartpole"].values()
    assert list(seeds) == ["seed_0", "seed_1", "seed_2"]
    assert seeds["seed_0"]["step_0"]["step_count"] == 0 and len(seeds["seed_0"]["absolute_metrics"]["return"]) == 1
    lines = (other / "evals.jsonl").read_text().splitlines(keepends=True)
    (other / "evals.jsonl").write_text("".join(lines[:-1]))
    assert export(other, "--to", tmp_path / "less.json", "--format", "marl-eval") == 2
    assert "seed 2" in capsys.readouterr().err
    assert export(mlp, "--to", table, "--format", "csv") == 2 and export(mlp, "--to", table, "--format", "onnx") == 2
    said = capsys.readouterr().err
    assert "--force" in said and "marl-eval" in said
