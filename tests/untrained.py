"""Run folders as training leaves them, but for the training: random parameters, a lived-in normalizer, evaluations."""

import dataclasses
import json
from collections import namedtuple
from pathlib import Path

import jax
import numpy as np

from romanesco.core.spaces import to_json
from romanesco.lab import files
from romanesco.lab.build import Objects, agent_maker, environment, setup
from romanesco.lab.checkpoint import save, save_best
from romanesco.lab.compose import resolve
from romanesco.learn import train

State = namedtuple("State", ["learner"])


def learners(config, objects: Objects, numbers) -> list:
    """Learners with random floats instead of learned ones, and normalizers that have seen something, one a number."""
    env = environment(config.env)
    told, make = setup(config, env, objects), agent_maker(config, env, objects)
    like = jax.eval_shape(lambda key: train.init_learner(key, make, told), jax.random.key(0))

    def drawn(rng):
        one = lambda x: rng.normal(size=x.shape).astype(x.dtype)
        made = jax.tree.map(lambda x: one(x) if x.dtype == np.float32 else np.zeros(x.shape, x.dtype), like)
        return dataclasses.replace(made, normalizer=jax.tree.map(lambda x: np.asarray(abs(x) + 1), made.normalizer))

    return [State(drawn(np.random.default_rng(n))) for n in numbers]


def write(path: Path, preset: str, *overrides: str, seeds: int = 2, objects: Objects = Objects()) -> Path:
    """A run of `seeds` seeds at step 256, an older checkpoint at 128, and a best policy at 128 of every seed but 0."""
    given = frozenset(name for name in objects.names if name != "aux")
    (config,) = resolve(preset, [*overrides, f"seeds={seeds}", "seed=0"], objects=given)
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(files.to_yaml(config), encoding="utf-8")
    env = environment(config.env)
    about = {"version": 1, "parameters": 1, "observation_space": to_json(env.observation_space),
             "action_space": to_json(env.action_space)}  # fmt: skip
    (path / "model.json").write_text(json.dumps(about))
    group = {"name": None, "seeds": list(range(seeds))}
    (path / "groups.json").write_text(json.dumps({"version": 1, "groups": [group]}))
    states = {step: learners(config, objects, range(10 * step, 10 * step + seeds)) for step in (128, 256)}
    for step, of_step in states.items():
        save(path, step, of_step, {"update": step // 128})
    best = {str(s): 256 if s == 0 else 128 for s in range(seeds)}
    save_best(path, [states[best[str(s)]][s].learner.actor for s in range(seeds)], {"step": best})
    rows = [{"seed": s, "step": step, "mode": "greedy", "return": [_mean(s, step) - 1, _mean(s, step) + 1],
             "length": [5.0, 5.0], "success": [None, None], "env_seed": [0, 1]}
            for step in (0, 128, 256) for s in range(seeds)]  # fmt: skip
    (path / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score = lambda s, step: {"mean": _mean(s, step), "episodes": 2, "success": None}
    ended = [
        {"seed": s, "greedy": score(s, 256), "sampled": score(s, 256), "absolute": score(s, best[str(s)]),
         "best_step": best[str(s)], "steps_to_threshold": None, "frozen_at": None}
        for s in range(seeds)
    ]  # fmt: skip
    about = {"task": path.parent.parent.name, "agent": path.parent.name, "steps": 256, "seeds": ended, "iqm": 1.0}
    results = {**about, "interval": [0, 2], "threshold": None, "budget": 256, "evaluation_seeds": [0, 1], "version": 1}
    (path / "results.json").write_text(json.dumps(results))
    status = {"status": "finished", "pid": 1, "heartbeat": 1, "steps": 256, "error": None, "version": 1}
    (path / "status.json").write_text(json.dumps(status))
    return path


def _mean(seed: int, step: int) -> float:
    """At the end seed 1 is best, at its own best seed 2."""
    return {0: 0.0, 128: 10.0 * seed, 256: {0: 1.0, 1: 9.0}.get(seed, 2.0)}[step]
