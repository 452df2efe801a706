"""Names become objects: the one file that knows every wing, through their registries."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from romanesco.agent import ENCODERS
from romanesco.agent.agent import Agent, build
from romanesco.agent.encoders.choices import GLIMPSES
from romanesco.agent.encoders.reader import scores
from romanesco.core.arrays import only_arrays
from romanesco.core.errors import BadInput
from romanesco.core.types import Env, Memory
from romanesco.envs import ENVS, pool
from romanesco.envs.episodes import Dynamics
from romanesco.envs.settings import apply
from romanesco.envs.world import World
from romanesco.lab.config import Config
from romanesco.lab.libraries import GeneratedEnvironment
from romanesco.lab.worlds import Environment, HostEnvironment, shown
from romanesco.learn import ALGORITHMS, ppo
from romanesco.learn.curriculum import Reverse
from romanesco.learn.train import Pooling, Setup
from romanesco.memory import MEMORIES, Glimpse, Stack

TRANSFORMS = (*(f.name for f in dataclasses.fields(Environment)), "life_is_episode")
POOL = ("reset", "worlds", "worlds_refresh", "worlds_every")
KINDS = {"none": (), "obs": ("obs",), "reward": ("reward",), "both": ("obs", "reward")}


@dataclasses.dataclass(frozen=True)
class Objects:
    """What enters a run as an object instead of a name."""

    env: Any = None  # an Env, or a function that makes one
    memory: Any = None  # (size, *, key) -> Memory, or a Memory
    encoder: Any = None  # (space, *, key) -> encoder, or an encoder
    aux: tuple[Callable, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are given: a run folder keeps their names, not the objects."""
        return tuple(f.name for f in dataclasses.fields(self) if getattr(self, f.name))


def settings(group: Any) -> dict[str, Any]:
    """The fields of a group's dataclass, as keyword arguments."""
    return {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}


def _world(group: Any) -> dict[str, Any]:
    """The settings of the world that is played."""
    options = settings(shown(group))
    del options["twin"]
    return options


def environment(group: Any, num_envs: int = 1, *, render: bool = False) -> Env | World:
    """The world that a config group describes, its transforms around it: an `Env`, or a host's `World`.

    A world on the host makes its first `num_envs` streams now; `render`: such that they can be drawn.
    """
    options = _world(group)
    library, _, identity = group.name.partition(":")
    if isinstance(group, HostEnvironment):
        given: dict[str, Any] = {"id": identity} if identity else {}
        if render:
            given["render_mode"], options["vectorization"] = "rgb_array", "sync"
        return ENVS[library](num_envs=num_envs, **given, **options)
    transforms = {name: options.pop(name) for name in TRANSFORMS if name in options}
    if isinstance(group, GeneratedEnvironment):
        options = {name: x for name, x in options.items() if name not in POOL}
    return apply(ENVS[group.name](**options), **transforms)


def given_environment(env: Any, group: Any, num_envs: int = 1) -> Env | World:
    """A user's environment object, or what their factory makes, under the settings of `env=object`."""
    options = _world(group)
    pure = {name: options.pop(name) for name in TRANSFORMS if name in options}
    made = _one_of(env)
    if isinstance(made, Env):
        return apply(only_arrays(made, "env"), **pure)
    if isinstance(made, Dynamics):
        name = type(made).__name__
        raise BadInput(f"env={name}: a Dynamics has no clock yet; give Episodes({name}(...), max_steps=...)")
    if not hasattr(made, "step") or _is_jax(made):
        needed = {name for name in {*vars(Env), *Env.__annotations__} if not name.startswith("_")}
        missing = sorted(name for name in needed if not hasattr(made, name))
        raise BadInput(f"env={type(made).__name__}: a pure environment also needs {', '.join(missing)}")
    from romanesco.envs.gym import given

    return given(env, num_envs=num_envs, **options, **pure)


def _one_of(env: Any) -> Any:
    """The environment that was given, or one that a class or a function makes."""
    if not callable(env) or (hasattr(env, "reset") and not inspect.isclass(env)):
        return env
    try:
        return env()
    except BadInput:
        raise
    except Exception as error:
        name = getattr(env, "__name__", type(env).__name__)
        raise BadInput(f"env={name}: called without arguments it raised {type(error).__name__}: {error}") from error


def _is_jax(env: Any) -> bool:
    return isinstance(env, eqx.Module)


def memory_maker(group: Any) -> Callable[..., Memory]:
    """(size, *, key) -> the memory that a config group describes; stacked where its cells are meant to be."""
    cell = MEMORIES[group.name]
    make: Any = cell if cell.stacked is None else functools.partial(Stack.of, cell)
    return lambda size, *, key: make(size=size, key=key, **settings(group))


def _maker(given: Any, default: Any, what: str) -> Callable:
    if given is None:
        return default
    if not (inspect.isclass(given) or inspect.isfunction(given) or isinstance(given, functools.partial)):
        return lambda size, *, key: only_arrays(given, what)
    make: Any = given
    return lambda size, *, key: only_arrays(make(size, key=key), what)


def agent_maker(config: Config, env: Env | World, objects: Objects) -> Callable[[jax.Array], Agent]:
    """key -> a fresh agent for this environment."""
    encoder = _maker(
        objects.encoder,
        lambda space, *, key: ENCODERS[config.encoder.name](space, key=key, **settings(config.encoder)),
        "encoder",
    )
    named = memory_maker(config.memory) if objects.memory is None else None
    memory = _maker(objects.memory, named, "memory")
    looks: Any = config.encoder
    if getattr(looks, "pool", None) in GLIMPSES:
        told = {"when": looks.pool, "heads": looks.heads, "scores": scores(looks.control)}
        memory = functools.partial(Glimpse, memory=memory, **told)
    heads = settings(config.agent)
    return lambda key: build(key, env.observation_space, env.action_space, encoder=encoder, memory=memory, **heads)


def setup(config: Config, env: Env | World, objects: Objects) -> Setup:
    """What all seeds of a run are told. Every number is an array of float32: a float now and an array later would be
    two programs."""
    a = config.algorithm
    number = lambda x: jnp.asarray(x, jnp.float32)
    hp = ppo.Hyper(
        learning_rate=number(a.learning_rate),
        gamma=number(a.gamma),
        lam=number(a.lam),
        clip=number(a.clip),
        value_clip=None if math.isinf(a.value_clip) else number(a.value_clip),
        value_cost=number(a.value_cost),
        entropy_cost=number(a.entropy_cost),
        epochs=a.epochs,
        minibatches=a.minibatches,
        shuffle_groups=int(a.shuffle_groups),
        normalize_advantages=a.normalize_advantages,
    )
    return Setup(
        env=env,
        hp=hp,
        opt=_optimizer(a.max_grad_norm, a.adam_eps),
        num_envs=config.num_envs,
        horizon=a.horizon,
        normalize=KINDS[a.normalize],
        anneal=tuple(a.anneal),
        aux=tuple(objects.aux),
        update=ALGORITHMS[a.name],
        curriculum=Reverse.of(env, config.num_envs) if config.curriculum == "reverse" else None,
        pool=_pooling(config, env),
    )


def _pooling(config: Config, env: Env | World) -> Pooling | None:
    """How each seed gets its pool under `env.reset=pool`; one that cannot fit into memory raises `BadInput`."""
    group = config.env
    if not isinstance(group, GeneratedEnvironment) or group.reset != "pool":
        return None
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    have = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", physical)
    need = pool.memory(env, group.worlds) * config.seeds
    if need > have:
        raise BadInput(
            f"env.worlds={group.worlds}: pools of {need / 2**30:.1f} GiB for seeds={config.seeds}, and there are "
            f"{have / 2**30:.1f} GiB"
        )
    make = functools.partial(pool.pooled, worlds=group.worlds, refresh=group.worlds_refresh)
    return Pooling(make, pool.refreshed, group.worlds_every)


@functools.cache
def _optimizer(max_grad_norm: float, adam_eps: float):
    """One object for equal settings: programs are cached by it."""
    return ppo.optimizer(max_grad_norm=max_grad_norm, adam_eps=adam_eps)
