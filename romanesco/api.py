"""What `import romanesco as rm` shows. The same code path and folders as the command line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np

from romanesco.agent import recovery as recovering
from romanesco.agent.evaluate import episode, evaluate
from romanesco.agent.host import STREAMS as HOST_STREAMS
from romanesco.agent.host import evaluate_host
from romanesco.agent.policy import Policy
from romanesco.agent.uniform import Uniform
from romanesco.core.errors import BadInput
from romanesco.core.spaces import describe
from romanesco.core.types import Env, HostEnv
from romanesco.envs.world import World
from romanesco.lab import initial, jobs
from romanesco.lab import run as lab
from romanesco.lab.bench import Speed, speed
from romanesco.lab.build import Objects, environment
from romanesco.lab.compose import resolve, resume_overrides
from romanesco.lab.config import Config
from romanesco.lab.group import FRESH
from romanesco.lab.load import Loaded, config_of, load_agents, needed_objects
from romanesco.lab.store import find_policy, find_run
from romanesco.lab.watch import watch
from romanesco.study import compare as comparing
from romanesco.study import stats
from romanesco.study.arms import found_arms
from romanesco.study.attention import Attention
from romanesco.study.compare import Comparison
from romanesco.study.report import report
from romanesco.study.runs import Run

EVALUATION_SEED = FRESH + 1  # `evaluate` draws from neither the training's nor its evaluations' keys


def make(name: str, *, num_envs: int = 1, **options: Any) -> Env | HostEnv:
    """An environment by name: `rm.make("tmaze", corridor_length=160)`, `rm.make("LunarLander-v3", num_envs=16)`.

    A pure one is an `Env`, which `jax.vmap` batches and `eqx.filter_jit(env.step)` compiles (a pytree has no hash, so
    that `jax.jit` wants a function around it); one on the host is a `HostEnv` of `num_envs` streams. Options are those
    of the config group `env`; a wrong one raises `BadInput` with the nearest.
    """
    config = resolve(None, [f"env={name}"], fields={f"env.{key}": value for key, value in options.items()})[0]
    env = environment(config.env, num_envs)
    if not isinstance(env, World):
        return env
    if env.transforms:
        raise BadInput(f"make({name!r}): transforms of a world on the host act inside a run; make it without them")
    return env.streams(num_envs)


def _summarize(scores: Sequence[float]) -> tuple[float | None, tuple[float, float] | None]:
    if not len(scores):
        return None, None
    table = np.asarray(scores, float)[:, None]
    return float(stats.iqm(table)), stats.interval(table)


def hooks(on_chunk: Callable | None = None) -> lab.Hooks:
    """What this floor lends to a run: statistics and the report."""
    return lab.Hooks(_summarize, lambda path: report([Run(path)]), on_chunk)


class RunSet:
    """The runs of one call of `train`: their folders, results and agents."""

    def __init__(self, paths: Sequence[Path], objects: Objects = Objects()):
        self.paths, self._objects = list(paths), objects

    def __repr__(self) -> str:
        return f"RunSet({', '.join(map(str, self.paths))})"

    @property
    def path(self) -> Path:
        """The folder of the only run."""
        if len(self.paths) != 1:
            raise BadInput(f"a sweep has {len(self.paths)} runs; use .paths")
        return self.paths[0]

    @property
    def results(self) -> dict[str, Any]:
        """results.json of the only run."""
        return json.loads((self.path / "results.json").read_text(encoding="utf-8"))

    def policy(self, seed: int | str | None = None, *, checkpoint: str | int = "latest") -> Policy:
        """As `load`."""
        return load(self.path, seed, checkpoint, env=self._objects.env, memory=self._objects.memory,
                    encoder=self._objects.encoder)  # fmt: skip

    def evaluate(self, *, episodes: int = 100, greedy: bool = True) -> dict[int, dict[str, np.ndarray]]:
        """Fresh episodes of every seed's latest policy -> {seed: {"return": [episodes], ...}}."""
        return play(load_agents(self.path, objects=self._objects), episodes=episodes, greedy=greedy)


def train(
    preset: str | None = None,
    *overrides: str,
    env: Any = None,
    memory: Any = None,
    encoder: Any = None,
    aux: Sequence[Callable] = (),
    on_chunk: Callable[[int, Any], Any] | None = None,
    resume: str | Path | None = None,
    view: Any = None,
    **fields: Any,
) -> RunSet:
    """Trains, or resumes, and returns when the run is finished.

    `rm.train("cartpole/mlp", "algorithm.gamma=.98", seeds=10)`: strings are overrides, keywords are top-level keys,
    checked like the command line's. `env`, `memory` and `encoder` may be names or objects: an `Env` or a function
    that makes one; `(size, *, key) -> Memory`; `(space, *, key) -> encoder`. Each of `aux` is a loss term
    `(agent, output, rollout, hp) -> (scalar, metrics)`; `on_chunk(update, rows)` sees every chunk. Raises `BadInput`,
    `RunFailed` (exit status 1), and `KeyboardInterrupt` once what was trained is saved.
    """
    names = {key: x for key, x in (("env", env), ("memory", memory), ("encoder", encoder)) if x is not None}
    words = [*(f"{key}={x}" for key, x in names.items() if isinstance(x, str)), *overrides]
    objects = Objects(**{key: x for key, x in names.items() if not isinstance(x, str)}, aux=tuple(aux))
    argv = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv and sys.argv[0] else ["python"]
    told = {"hooks": hooks(on_chunk), "objects": objects, "argv": argv, "view": view}
    if resume is not None:
        path = find_run(resume)
        needed_objects(path, config_of(path), objects)
        config = resume_overrides(config_of(path), [*([preset] if preset else []), *words], fields=fields)
        _say(view, config.notes)
        return RunSet([jobs.resume(path, config, **told)], objects)
    given = frozenset(name for name in objects.names if name != "aux")
    configs = resolve(preset, words, fields=fields, objects=given)
    paths = []
    for config in configs:
        _say(view, config.notes)
        paths.append(jobs.start(config, **told))
    return RunSet(paths, objects)


def sizes(config: Any) -> list[str]:
    """What a configuration amounts to, before anything runs: parameters, what its memory carries, a rollout's bytes."""
    with lab.numerics(config):
        programs = lab.programs_of(config, environment(config.env), Objects(), jax.devices()[:1])
        programs.close()
        about = lab.describe(programs)
        held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(programs.like))
        obs = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(programs.like.streams.ts))
        _, source = initial.settle(config, programs.like.learner.actor)
    rollout = (config.algorithm.horizon + 1) * obs
    return [
        *([source.describe(range(config.seed, config.seed + config.seeds))] if source else []),
        f"{about['parameters']:,} parameters, {about['carry']:,} numbers of memory a stream",
        f"{held / 2**20:,.1f} MiB of state and about {rollout / 2**20:,.1f} MiB a rollout, of each seed",
    ]


def _say(view: Any, notes: Sequence[str]) -> None:
    for note in notes:
        (view.say if view else print)(f"note: {note}")


def load(
    path: str | Path,
    seed: int | str | None = None,
    checkpoint: str | int = "latest",
    *,
    env: Any = None,
    memory: Any = None,
    encoder: Any = None,
) -> Policy:
    """The policy of one seed of a run, or of an export's folder, its normalizer included.

    `seed` is a number, "best" (the one that did best when it was last evaluated; `policy.selected` says so) or None:
    the first. `checkpoint` is "latest", "best" or a step. A run made with a memory or an encoder that came as an
    object needs it again; no world is made, so `env` may be left out.
    """
    found = load_agents(find_policy(path), checkpoint=checkpoint, objects=Objects(env, memory, encoder))
    number, selected = found.choose(seed)
    within = functools.partial(lab.numerics, found.config)
    return Policy(found.actors[number], *found.spaces, seed=number, selected=selected, within=within)


def compare(
    *arms: Any, margin: float | None = None, allow_mismatch: bool = False, against: str | None = None, seed: int = 0
) -> Comparison:
    """Whether one agent beats another: `print(rm.compare(runs, other))`, `.plot("cmp.svg")`, `.arms`, `.pairs`.

    Each of `arms` is a `RunSet` (all its runs), a run's path or name, or a CSV file (first the seed, then a column an
    arm). The score of a training seed is its final greedy mean; `margin` asks for non-inferiority; `against` names
    the arm that all others are compared with, and not with one another; `seed` is the bootstrap's and the random
    permutations'. Raises `BadInput` where budgets, thresholds or evaluations differ and are
    not allowed to.
    """
    sources = [path for arm in arms for path in (arm.paths if isinstance(arm, RunSet) else [arm])]
    found = found_arms(sources, find_run)
    return comparing.compare(found, margin=margin, allow_mismatch=allow_mismatch, against=against, seed=seed)


def attention(
    path: str | Path,
    seed: int | str | None = "best",
    checkpoint: str | int = "latest",
    *,
    steps: int = 64,
    episodes: int = 1,
    greedy: bool = True,
    env: Any = None,
    memory: Any = None,
    encoder: Any = None,
) -> Attention:
    """What an agent attends to while it plays: `.maps`, `.plot("attention.svg")`, `.save("maps.npz")`.

    `episodes` streams play `steps` steps each, from the start of an episode on, into the next where one ends. The rest
    is as in `load`, but that the world is made. Raises `BadInput` where neither encoder nor memory attends.
    """
    for name, value in {"steps": steps, "episodes": episodes}.items():
        if value < 1:
            raise BadInput(f"{name}={value}: at least 1")
    found = load_agents(find_policy(path), checkpoint=checkpoint, objects=Objects(env, memory, encoder))
    number = found.choose(seed)[0]
    key = jax.random.key(EVALUATION_SEED)
    return Attention(*watch(key, found, number, steps=steps, episodes=episodes, greedy=greedy), number)


def play(found: Loaded, *, episodes: int, greedy: bool) -> dict[int, dict[str, np.ndarray]]:
    """Fresh episodes, the same for every seed -> {seed: {metric: [episodes]}}."""
    key = jax.random.key(EVALUATION_SEED)
    with lab.numerics(found.config):
        if isinstance(found.env, World):
            with contextlib.closing(found.env.judged(min(HOST_STREAMS, episodes))) as streams:
                judge = functools.partial(evaluate_host, key, found.env, streams, episodes=episodes, greedy=greedy)
                return {seed: judge(actor) for seed, actor in found.actors.items()}
        run = jax.jit(functools.partial(evaluate, episodes=episodes))
        return {seed: jax.device_get(run(key, found.env, actor, greedy=greedy)) for seed, actor in found.actors.items()}


def recovery(path: str | Path, *, episodes: int = 64) -> tuple[float | None, float | None]:
    """Of a run's greedy policies, all seeds: the share of episodes that recover from one frame of noise in their
    middle, and the median of the steps that takes. (None, None) in a world on the host. See `agent/recovery.py`."""
    found = load_agents(find_run(path))
    with lab.numerics(found.config):
        if isinstance(found.env, World):
            return None, None
        return recovering.summary(jax.random.key(EVALUATION_SEED), found.env, found.actors.values(), episodes=episodes)


def at_random(config: Config) -> Loaded:
    """The world of a configuration and, in place of trained agents, one that acts at random; for `play` and `film`."""
    with lab.numerics(config):
        env = environment(config.env)
    spaces, actors = (env.observation_space, env.action_space), {0: cast(Any, Uniform(env.action_space))}
    return Loaded(Path(), config, spaces, actors, {0: None}, changed=config.env)


def about(found: Loaded) -> dict[str, Any]:
    """What a world is, as plain data: spaces in words, limit, names of features, physical parameters, settings."""
    env, group = found.env, found.env_group
    return {
        "name": group.name,
        "summary": (inspect.getdoc(type(group)) or "").splitlines()[0],
        "kind": "host" if isinstance(env, World) else "pure",
        "observation": describe(env.observation_space),
        "features": ", ".join(env.feature_names) if env.feature_names else None,
        "actions": describe(env.action_space),
        "limit": env.max_steps,
        "threshold": env.threshold,
        "parameters": [f"{name} {p.default:g}, from {p.low:g} to {p.high:g}" for name, p in env.params.items()],
        "settings": dataclasses.asdict(group),
    }


def bench(found: Loaded) -> Speed:
    """The speed of a world by itself."""
    with lab.numerics(found.config):
        return speed(found.env)


def film(found: Loaded, path: Path, *, episodes: int, pick: str, greedy: bool) -> dict[str, float]:
    """Plays `episodes`, and writes the best, median or worst as a GIF -> its metrics."""
    from PIL import Image

    seed, actor = next(iter(found.actors.items()))
    with lab.numerics(found.config):
        key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed)
        show = _shown_host if isinstance(found.env, World) else _shown
        played = [show(jax.random.fold_in(key, i), found, actor, greedy) for i in range(episodes)]
    played.sort(key=lambda one: one[1]["return"])
    frames, metrics = played[{"worst": 0, "median": len(played) // 2, "best": -1}[pick]]
    images = [Image.fromarray(np.asarray(frame)) for frame in frames()]
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(path, save_all=True, append_images=images[1:], duration=80, loop=0)
    return metrics


def _shown(key: jax.Array, found: Loaded, actor: Any, greedy: bool) -> tuple[Callable[[], list], dict[str, float]]:
    """One episode: its frames, drawn when they are asked for, and its metrics."""
    env: Any = found.env
    states, metrics = episode(key, env, actor, greedy=greedy)
    return lambda: _drawn(env, states), metrics


def _drawn(env: Any, states: Sequence[Any]) -> list:
    """What the states look like, by one program; pictures that Gymnasium draws need numbers."""
    draw = eqx.filter_jit(type(env).render)
    try:
        draw(env, states[0])
    except jax.errors.JAXTypeError:
        draw = type(env).render
    return [draw(env, state) for state in states]


def _shown_host(key: jax.Array, found: Loaded, actor: Any, greedy: bool) -> tuple[Callable[[], list], dict[str, float]]:
    world: Any = environment(found.env_group, render=True)
    frames: list[np.ndarray] = []
    with contextlib.closing(world.judged(1)) as stream:
        look = lambda: frames.append(stream.render())
        table = evaluate_host(key, world, stream, actor, episodes=1, greedy=greedy, look=look)
    return lambda: frames, {name: float(x[0]) for name, x in table.items()}
