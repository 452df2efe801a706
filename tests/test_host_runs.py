"""Runs in worlds on the host: seeds in processes, resume, interruption, and what breaks on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from worlds_on_host import Parts, Scripted

import romanesco as rm

HERE = Path(__file__).resolve().parent
SMALL = ("num_envs=2", "algorithm.horizon=16", "algorithm.minibatches=2", "algorithm.epochs=1", "eval.episodes=2",
         "eval.final_episodes=2", "log.sinks=[jsonl]", "encoder=identity", "agent.actor_hidden=[8]",
         "agent.critic_hidden=[8]")  # fmt: skip


def cli(*words, cwd, timeout=240):
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-m", "romanesco", *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
    )
    return done.returncode, done.stdout + done.stderr


def rows(run, name="metrics.jsonl"):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def test_seeds_get_processes_and_more_of_them_later(tmp_path):
    status, said = cli(
        "train", "env=gymnasium:CartPole-v1", *SMALL, "total_steps=320", "seeds=2", "name=a", cwd=tmp_path
    )
    run = tmp_path / "runs" / "gymnasium-CartPole-v1" / "none" / "a"
    assert status == 0, said
    assert [p.name for p in sorted((run / "seeds").iterdir())] == ["00", "01"]
    alone = [row for row in rows(run) if row["seed"] == 1]
    status, said = cli("train", "--resume", str(run), "seeds=3", cwd=tmp_path)
    assert status == 0, said
    merged = rows(run)
    assert [(r["step"], r["seed"]) for r in merged] == sorted((r["step"], r["seed"]) for r in merged)
    assert {r["seed"] for r in merged} == {0, 1, 2} and [r for r in merged if r["seed"] == 1] == alone
    results = json.loads((run / "results.json").read_text())
    assert [row["seed"] for row in results["seeds"]] == [0, 1, 2] and all(row["greedy"] for row in results["seeds"])
    assert (run / "report.html").exists()
    policy = rm.load(run, seed=2)
    assert policy(np.zeros(4, np.float32)) in (0, 1)
    status, said = cli("eval", str(run), "--episodes", "2", "--json", cwd=tmp_path)
    assert status == 0 and set(json.loads(said)["seeds"]) == {"0", "1", "2"}, said


def test_an_object_runs_its_seeds_here(tmp_path):
    run = rm.train(None, *SMALL, env=Scripted, total_steps=64, seeds=2, root=tmp_path, name="own")
    spent = {f"time/{phase}_s" for phase in ("compile", "env", "policy", "learn", "eval", "log")}
    assert all(spent <= set(row) for row in rows(run.path))
    assert {row["seed"] for row in rows(run.path)} == {0, 1} and not (run.path / "seeds").exists()
    assert rm.load(run.path, seed=1)(np.zeros(2, np.float32)) in (0, 1)


def test_a_seed_in_a_process_is_the_seed_alone(tmp_path):
    told = dict(total_steps=96, seeds=2, root=tmp_path)
    apart = rm.train(None, "env=gymnasium:CartPole-v1", *SMALL, name="apart", jobs=2, **told)
    here = rm.train(None, "env=gymnasium:CartPole-v1", *SMALL, name="here", jobs=1, **told)
    timeless = lambda run: [{k: v for k, v in row.items() if not k.startswith("time")} for row in rows(run.path)]
    assert timeless(apart) == timeless(here)


@pytest.mark.parametrize(
    ("id", "said"),
    [("BrokenRaises-v0", "ZeroDivisionError: the physics exploded"), ("BrokenNanObs-v0", "nan in observation"),
     ("BrokenHangs-v0", "env.timeout=3 s")],
)  # fmt: skip
def test_a_world_that_breaks_costs_no_saved_work(tmp_path, id, said):
    words = (f"env=gymnasium:worlds_on_host:{id}", *SMALL, "total_steps=960", "env.timeout=3", "checkpoint.every=32")
    status, out = cli("train", *words, "eval.every=never", "name=b", cwd=tmp_path)
    assert status == 1 and said in out and "Traceback" not in out and "--resume" in out, out
    (run,) = tmp_path.glob("runs/*/*/b")
    assert json.loads((run / "status.json").read_text())["status"] == "failed"
    assert rm.load(run)(np.zeros(3, np.float32)) in (0, 1)


def test_an_interrupted_run_goes_on_with_fresh_episodes(tmp_path):
    words = (
        "env=gymnasium:CartPole-v1",
        *SMALL,
        "total_steps=60000",
        "eval.every=never",
        "name=c",
        "jobs=2",
        "seeds=2",
    )
    process = subprocess.Popen([sys.executable, "-m", "romanesco", "train", *words], cwd=tmp_path, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    run = tmp_path / "runs" / "gymnasium-CartPole-v1" / "none" / "c"
    until = time.monotonic() + 120
    logs = [run / "seeds" / seed / "metrics.jsonl" for seed in ("00", "01")]
    while not all(log.exists() and log.stat().st_size for log in logs) and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in out, out
    before = rows(run)
    more = max(row["step"] for row in before) + 3200  # beyond the checkpoint: a row is written each 600 steps
    status, out = cli("train", "--resume", str(run), f"total_steps={more}", cwd=tmp_path)
    assert status == 0, out
    after = rows(run)
    assert max(row["step"] for row in after) >= more and {row["seed"] for row in after} == {0, 1}


def test_actions_with_parts_are_learned_and_answered_in_their_own_space(tmp_path):
    words = dict(word.split("=", 1) for word in SMALL) | {"num_envs": "16", "algorithm.epochs": "4"}
    words |= {"algorithm.learning_rate": "0.02", "agent.log_std": "-0.7"}
    said = [f"{key}={value}" for key, value in words.items()]
    run = rm.train(None, *said, env=Parts, total_steps=8192, seeds=1, root=tmp_path, name="parts")
    assert max(row["train/off_policy"] for row in rows(run.path)) < 1e-5
    assert rows(run.path, "evals.jsonl")[-1]["return"][0] > 4.6
    policy = rm.load(run.path)
    answer = policy({"x": np.ones(2, np.float32)})
    bits, many = answer["keys"]
    assert answer["turn"] == -1 and bits.tolist() == [1, 0] and many[1] == 2
    assert answer["throttle"].shape == (1,) and abs(answer["throttle"][0] - 0.5) < 0.3
