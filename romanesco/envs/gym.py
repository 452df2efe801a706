"""Gymnasium environments by id, by object or by factory, as worlds on the host."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

import gymnasium
from gymnasium import logger
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from romanesco.core.errors import BadInput, HostFault, nearest
from romanesco.core.spaces import Param
from romanesco.envs.around import repeated
from romanesco.envs.host import Host
from romanesco.envs.randomize import Ranges, check
from romanesco.envs.settings import NAMES
from romanesco.envs.table import FEATURES, PARAMS, VELOCITIES
from romanesco.envs.tidy import Tidy, registered
from romanesco.envs.world import World

EXTRAS = {"Box2D": "box2d", "box2d": "box2d", "ale_py": "atari", "mujoco": "memory-maze", "pygame": "render"}


def gym(
    id: str,
    *,
    vectorization: str = "auto",
    timeout: float = 60.0,
    max_steps: int | None = None,
    action_repeat: int = 1,
    num_envs: int = 1,
    feature_names: tuple[str, ...] | None = None,
    params: dict[str, Param] | None = None,
    **options: Any,
) -> World:
    """Any registered Gymnasium environment; `options` are the settings of `transforms_of`, and its constructor's
    keywords."""
    spec = specification(id)
    around = {name: options.pop(name) for name in NAMES if name in options}
    if max_steps is not None:
        options["max_episode_steps"] = max_steps
    native = spec.vector_entry_point is not None and action_repeat == 1
    if vectorization == "native" and not native:
        raise BadInput(
            f"env.vectorization=native: {id} has no vector environment of its own, or none that "
            "repeats actions; use auto or sync"
        )
    make = functools.partial(registered, id, **options)
    if vectorization == "native" or (vectorization == "auto" and native):
        streams = lambda n: Host(_native(id, n, options), timeout=timeout)
    else:
        streams = functools.partial(separate, make, vectorization, timeout, None, action_repeat)
    limit = repeated(max_steps or spec.max_episode_steps, action_repeat)
    about: dict[str, Any] = {"threshold": spec.reward_threshold, "feature_names": feature_names, "params": params}
    return World.of(streams, num_envs, max_steps=limit, **about, **around)


def lander(*, gravity: float = -10.0, randomize: Ranges | None = None, context: bool = False, **settings: Any) -> World:
    """Gymnasium's LunarLander-v3; numbers of `randomize`, {name: (low, high)}, are drawn for each episode."""
    params = PARAMS["lander"]
    check(randomize or {}, params, context)
    for name in ("wind_power", "turbulence_power"):
        asked = name in (randomize or {}) or settings.get(name, params[name].default) != params[name].default
        if asked and not settings.get("enable_wind"):
            raise BadInput(f"env.{name}: there is no wind without env.enable_wind=true")
    about = {"feature_names": FEATURES["lander"], "velocities": VELOCITIES["lander"], "params": params}
    drawn = {"randomize": dict(randomize), "context": context} if randomize else {}
    return gym("LunarLander-v3", gravity=gravity, **about, **drawn, **settings)


def given(
    env: Any, *, vectorization: str = "auto", timeout: float = 60.0, max_steps: int | None = None,
    action_repeat: int = 1, num_envs: int = 1, **settings: Any,
) -> World:  # fmt: skip
    """A user's Gymnasium environment, vector environment, class, or function that makes one."""
    about = None
    if isinstance(env, VectorEnv):
        streams, about = _of_vector(env, timeout, max_steps, action_repeat), env.spec
    else:
        make, about = _maker(env)
        streams = functools.partial(separate, make, vectorization, timeout, max_steps, action_repeat)
    limit = repeated(max_steps or (about.max_episode_steps if about else None), action_repeat)
    threshold = about.reward_threshold if about else None
    return World.of(streams, num_envs, max_steps=limit, threshold=threshold, **settings)


def specification(id: str) -> Any:
    """The registered specification; an unknown id raises `BadInput` with the nearest."""
    module, _, name = id.rpartition(":")
    if module:
        try:
            __import__(module)
        except ImportError as error:
            raise BadInput(f"gymnasium:{id}: cannot import {module}: {error}") from None
    if name not in gymnasium.registry:
        close = nearest(name, list(gymnasium.registry))
        raise BadInput(f"Gymnasium knows no environment `{name}`{close or ';'} `module:Name-v0` imports a module first")
    return gymnasium.registry[name]


def _native(id: str, n: int, options: dict[str, Any]) -> VectorEnv:
    return gymnasium.make_vec(id, num_envs=n, vectorization_mode="vector_entry_point", **options)


def separate(
    make: Callable[[], Any], vectorization: str, timeout: float, max_steps: int | None, repeat: int, n: int
) -> Host:
    """n environments in this process, or in one process each (`async`)."""
    if vectorization == "native":
        raise BadInput("env.vectorization=native: only registered environments have one; use auto, sync or async")
    makers = [functools.partial(Tidy, make, i, max_steps, repeat) for i in range(n)]
    try:
        if vectorization != "async":
            return Host(SyncVectorEnv(makers, copy=False), timeout=timeout)
        logger.min_level = max(logger.min_level, logger.ERROR + 1)  # faults of workers reach the user once, from us
        with _hidden_main(), _deaf_to_signals():
            return Host(AsyncVectorEnv(makers, context="spawn", copy=False), timeout=timeout)
    except HostFault as error:
        raise _missing(error) from error
    except (EOFError, ConnectionError) as error:
        raise BadInput(
            "env.vectorization=async: its processes could not be started; put the environment into a module that they "
            "can import, or use env.vectorization=sync"
        ) from error


def _missing(error: HostFault) -> Exception:
    """What making an environment said: a library that is not installed is bad input, with its remedy."""
    said = str(error)
    if "DependencyNotInstalled" in said or "ModuleNotFoundError" in said:
        extra = next((extra for word, extra in EXTRAS.items() if word in said), None)
        return BadInput(f"{said}; " + (f'pip install -e ".[{extra}]"' if extra else "install what it names"))
    return BadInput(said)


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Spawned workers do not run the user's script again: what is defined there travels by value."""
    main = sys.modules["__main__"]
    hidden = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


@contextlib.contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Processes started meanwhile never see SIGINT and SIGTERM, which terminals and schedulers send to all processes
    of a run: this one ends them. What arrives here meanwhile is delivered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _maker(env: Any) -> tuple[Callable[[], Any], Any]:
    """-> a function that makes one environment, and its specification if it has one."""
    if inspect.isclass(env) or not hasattr(env, "reset"):
        return env, None
    spec = getattr(env, "spec", None)
    try:
        pristine = copy.deepcopy(env)
    except Exception as error:
        if spec is not None:
            return functools.partial(registered, spec), spec
        raise BadInput(
            f"env={type(env).__name__}: it cannot be copied ({type(error).__name__}), and evaluation needs a second "
            "one; give a factory: a class, or a function that makes it"
        ) from error
    return functools.partial(copy.deepcopy, pristine), spec


def _of_vector(env: VectorEnv, timeout: float, max_steps: int | None, repeat: int) -> Callable[[int], Host]:
    """More vector environments like this one, from its specification, in next-step mode."""
    if isinstance(env, VectorWrapper):
        raise BadInput(
            f"env={type(env).__name__}: a wrapper of a vector environment cannot be made again for evaluation; wrap "
            "single environments instead, and give a factory of these"
        )
    spec = env.spec
    if spec is None:
        raise BadInput(
            f"env={type(env).__name__}: a vector environment without a spec cannot be made again for evaluation; give "
            "a single environment or a factory"
        )
    of_the_vector = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
    kwargs = {k: v for k, v in spec.kwargs.items() if k not in of_the_vector}
    wrappers = tuple(spec.kwargs.get("wrappers") or ())
    make = functools.partial(_wrapped, wrappers, functools.partial(registered, spec.id, **kwargs))
    return functools.partial(separate, make, "sync", timeout, max_steps, repeat)


def _wrapped(wrappers: tuple[Callable[[Any], Any], ...], make: Callable[[], Any]) -> Any:
    return functools.reduce(lambda env, wrapper: wrapper(env), wrappers, make())
