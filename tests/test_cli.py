"""The command line as a user meets it: what it prints, what it leaves behind, and how it refuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TINY = [
    "total_steps=1024",
    "num_envs=4",
    "algorithm.horizon=32",
    "seeds=1",
    "eval.episodes=2",
    "eval.final_episodes=20",
]


def romanesco(*args: str, cwd: Path, status: int = 0, env: dict | None = None) -> str:
    command = [sys.executable, "-m", "romanesco", *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env=env)
    out = done.stdout + done.stderr
    assert done.returncode == status, out
    assert "Traceback" not in out
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    romanesco("train", "cartpole/mlp", *TINY, "name=one", cwd=root)
    return root


def test_a_run_leaves_a_whole_folder(trained):
    run = trained / "runs/cartpole/mlp/one"
    files = {p.name for p in run.iterdir()}
    written = "config.yaml command.txt version.json status.json model.json metrics.jsonl evals.jsonl tb checkpoints"
    assert {*written.split(), "latest.json", "best.json", "results.json", "figures", "report.html"} <= files
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    assert re.search(r"Time: [a-z]+ \d+\N{NO-BREAK SPACE}%", (run / "report.html").read_text())


def test_first_ratio_is_one_in_every_row(trained):
    rows = [json.loads(line) for line in (trained / "runs/cartpole/mlp/one/metrics.jsonl").read_text().splitlines()]
    assert rows and all(row["train/off_policy"] < 1e-4 and row["time/device_s"] > 0 for row in rows)


def test_eval_reads_the_run_by_any_of_its_names(trained):
    for name in ("runs/cartpole/mlp/one", "cartpole/mlp/one", "one", "latest"):
        assert "return" in romanesco("eval", name, "--episodes", "2", cwd=trained)


def test_eval_changes_the_world_but_nothing_else(trained):
    out = romanesco("eval", "one", "--episodes", "2", "env.gravity=20", "--json", cwd=trained)
    assert json.loads(out)["episodes"] == 2
    assert "env." in romanesco("eval", "one", "algorithm.gamma=.5", cwd=trained, status=2)


def test_eval_renders_an_episode(trained):
    pytest.importorskip("pygame", reason="rendering CartPole needs the extra `render`")
    romanesco("eval", "one", "--episodes", "2", "--render", "out.gif", cwd=trained)
    assert (trained / "out.gif").read_bytes()[:3] == b"GIF"


@pytest.mark.parametrize("episodes", ["0", "-5"])
def test_no_episodes_is_refused(trained, episodes):
    assert "episodes" in romanesco("eval", "one", "--episodes", episodes, cwd=trained, status=2)


def test_runs_lists_them(trained):
    rows = json.loads(romanesco("runs", "--json", cwd=trained))
    assert rows[0]["status"] == "finished" and rows[0]["steps"] == 1024


def test_report_of_several_runs_is_one_page(trained):
    page = romanesco("report", "one", "one", cwd=trained).strip().splitlines()[-1]
    assert "<svg" in (trained / page).read_text()


def test_a_name_that_is_taken_is_refused_and_nothing_is_lost(trained):
    run = trained / "runs/cartpole/mlp/one"
    before = (run / "metrics.jsonl").read_bytes()
    assert "one" in romanesco("train", "cartpole/mlp", *TINY, "name=one", cwd=trained, status=2)
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cartpole/mlpp"], "cartpole/mlp"),
        (["cartpole/mlp", "algorithm.learning_rat=1"], "algorithm.learning_rate"),
        (["cartpole/mlp", "num_envs=many"], "num_envs"),
        (["quickstart", "memory=window", "memory.heads=3"], "heads"),
        (["cartpole/gru", "num_envs=1", "algorithm.minibatches=4"], "minibatches"),
        (["cartpole/mlp", "device=gpu"], "device"),
        (["quickstart", "env.corridor_length=300", "env.position_bits=8"], "position_bits"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, said, tmp_path):
    out = romanesco("train", *words, cwd=tmp_path, status=2)
    assert said in out and len(out.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_x64_changes_nothing(tmp_path):
    env = {**os.environ, "JAX_ENABLE_X64": "1"}
    romanesco("train", "cartpole/gru", *TINY, "algorithm.minibatches=1", "name=wide", cwd=tmp_path, env=env)


def test_a_plain_terminal_gets_plain_text(tmp_path):
    kept = {name: x for name, x in os.environ.items() if name == "PATH" or name.startswith(("JAX_", "XLA_"))}
    quiet = {**kept, "HOME": str(tmp_path), "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    out = romanesco("train", "cartpole/mlp", *TINY, cwd=tmp_path, env=quiet)
    assert out.isascii() and "\x1b" not in out and "\r" not in out


def test_check_runs_the_laws_on_somebodys_cell(tmp_path):
    (tmp_path / "cells.py").write_text(
        "import equinox as eqx, jax.numpy as jnp\n"
        "class Sum(eqx.Module):\n"
        "    def __init__(self, size, *, key): pass\n"
        "    def init_carry(self): return jnp.zeros(16)\n"
        "    def step(self, carry, x, first):\n"
        "        carry = jnp.where(first, 0.0, carry) * 0.9 + x\n"
        "        return carry, carry\n"
        "    def sequence(self, carry, xs, first):\n"
        "        import jax\n"
        "        return jax.lax.scan(lambda c, x: self.step(c, *x), carry, (xs, first))\n"
        "class Rated(Sum):\n"
        "    rate: float\n"
        "    def __init__(self, size, *, key): self.rate = 0.9\n"
        "class Wide(Sum):\n"
        "    def __init__(self, size, width, *, key): pass\n"
        "class Leaky(Sum):\n"
        "    def step(self, carry, x, first):\n"
        "        carry = carry * 0.9 + x\n"
        "        return carry, carry\n"
    )
    assert "BROKEN" not in romanesco("check", "cells:Sum", cwd=tmp_path)
    assert "M2" in romanesco("check", "cells:Leaky", cwd=tmp_path, status=1)
    said = romanesco("check", "cells:Rated", cwd=tmp_path, status=2)
    assert "cells:Rated: Rated.rate is 0.9, not an array; declare it `eqx.field(static=True)`" in said
    assert "cells:Wide: none could be made, TypeError" in romanesco("check", "cells:Wide", cwd=tmp_path, status=2)


def test_env_shows_plays_films_and_measures_a_world(tmp_path):
    words = ["tmaze", "env.corridor_length=4", "env.max_steps=9", "--episodes", "2", "--render", "out.gif", "--bench"]
    shown = json.loads(romanesco("env", *words, "--json", cwd=tmp_path).partition("\nreturn")[0])
    assert (shown["limit"], shown["actions"], shown["settings"]["corridor_length"]) == (9, "Discrete(4)", 4)
    assert shown["random"]["length"]["mean"] <= 9 and shown["speed"]["wall"] > 0 and "cue_up" in shown["features"]
    assert (tmp_path / "out.gif").read_bytes()[:3] == b"GIF"


def test_env_plays_a_world_on_the_host(tmp_path):
    words = ["gymnasium:CartPole-v1", "env.max_steps=9", "--episodes", "2", "--json"]
    shown = json.loads(romanesco("env", *words, cwd=tmp_path).partition("\nreturn")[0])
    assert 5 < shown["random"]["length"]["mean"] <= 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tmase"], "did you mean `tmaze`"),
        (["cartpole", "seeds=2"], "only env.KEY=VALUE"),
        (["cartpole", "env.gravity=1,2"], "one world at a time"),
        (["cartpole", "--episodes", "-1"], "--episodes -1"),
    ],
)
def test_env_refuses_in_one_line(words, said, tmp_path):
    assert said in romanesco("env", *words, cwd=tmp_path, status=2)
