"""Run folders as plain files, for tests of what reads them."""

import json
import os
from pathlib import Path

CONFIG = """\
seed: 0
seeds: {seeds}
total_steps: 4000
env:
  name: {env}
memory:
  name: {memory}
eval:
  every: 1000
  mode: greedy
"""


def rows(seeds: int = 2, *, off_policy: float = 1e-6, episodes: bool = True) -> list[dict]:
    """Training rows whose return is the step in thousands, plus the seed."""
    return [
        {"step": step, "live_step": step, "seed": seed, "update": step // 500, "time": 1.0,
         "rollout/ep_rew_mean": step / 1000 + seed if episodes else None,
         "train/entropy": 1.0, "train/explained_variance": 0.5, "train/off_policy": off_policy}
        for step in range(500, 4001, 500) for seed in range(seeds)
    ]  # fmt: skip


def evals(seeds: int = 2, *, success: float = 1.0) -> list[dict]:
    """Evaluations of two episodes; their mean return is the step in thousands, plus the seed."""
    return [
        {"seed": seed, "step": step, "mode": "greedy", "return": [step / 1000 + seed - 1, step / 1000 + seed + 1],
         "length": [5.0, 5.0], "success": [success, success], "env_seed": [0, 1]}
        for step in range(0, 4001, 1000) for seed in range(seeds)
    ]  # fmt: skip


def results(
    seeds: int = 2, *, success: float = 1.0, threshold: float | None = None, task: str = "maze", agent: str = "gru"
) -> dict:
    def one(seed: int) -> dict:
        score = {"mean": 4.0 + seed, "episodes": 100, "success": success}
        solved = 2000 if threshold is not None and seed else None
        return {"seed": seed, "greedy": score, "sampled": {**score, "mean": 3.5}, "absolute": score, "best_step": 4000,
                "steps_to_threshold": solved, "frozen_at": None}  # fmt: skip

    return {"task": task, "agent": agent, "steps": 4000, "seeds": [one(s) for s in range(seeds)], "iqm": 4.5,
            "interval": [4, 5], "threshold": threshold, "budget": 4000, "version": 1}  # fmt: skip


def write_rows(path: Path, table: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")


def write_run(
    path: Path,
    *,
    seeds: int = 2,
    env: str = "tmaze",
    memory: str = "gru",
    status: str = "finished",
    pid: int | None = None,
    metrics: list[dict] | None = None,
    evaluations: list[dict] | None = None,
    ended: dict | None = None,
) -> Path:
    """A run folder of `runs/<task>/<agent>/<name>`, as a finished run leaves it where nothing else is said."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(CONFIG.format(seeds=seeds, env=env, memory=memory), encoding="utf-8")
    (path / "command.txt").write_text("romanesco train maze/gru\n", encoding="utf-8")
    said = {"status": status, "pid": os.getpid() if pid is None else pid, "heartbeat": 3, "steps": 4000, "error": None}
    (path / "status.json").write_text(json.dumps(said), encoding="utf-8")
    write_rows(path / "metrics.jsonl", rows(seeds) if metrics is None else metrics)
    write_rows(path / "evals.jsonl", evals(seeds) if evaluations is None else evaluations)
    if ended is None and status == "finished":
        ended = results(seeds)
    if ended:
        (path / "results.json").write_text(json.dumps(ended), encoding="utf-8")
    return path
