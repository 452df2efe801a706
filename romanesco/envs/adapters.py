"""Worlds of navix, jumanji, brax and XLand-MiniGrid, by id, entered below their autoresets.

What a library shows comes with its state, so it is kept there. A library's limit is ours too.
"""

from __future__ import annotations

import functools
import importlib
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.core.errors import BadInput, among
from romanesco.core.spaces import Box, Discrete, Space, frozen
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.pure import Held


class Adapted(Dynamics):
    """A world of another library as two functions of one stream."""

    begin: Callable[[Any], tuple[Any, Any]] = eqx.field(static=True)  # key -> state, observation
    move: Callable[[Any, Any], tuple] = eqx.field(static=True)  # -> state, observation, reward, terminated, truncated
    observation_space: Space = eqx.field(static=True, kw_only=True)
    action_space: Space = eqx.field(static=True, kw_only=True)

    def init(self, key: Key[Array, ""]) -> Held:
        return Held(*self.begin(key))

    def transition(self, key: Key[Array, ""], s: Held, action: PyTree[Array]) -> tuple[Held, Any, Any, Any]:
        state, obs, *told = self.move(s.state, action)
        return Held(state, obs), *told

    def observe(self, key: Key[Array, ""], s: Held) -> PyTree[Array]:
        return s.obs


class Library(NamedTuple):
    """One world of a library, made once an id: its functions are static, and others would be another program."""

    dynamics: Adapted
    limit: int | None


def _module(name: str, asked: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what these libraries import
            return importlib.import_module(name)
    except ImportError as error:
        raise BadInput(f'env={asked}: {error}; pip install -e ".[jax-envs]"') from None


def _known(library: str, id: str, ids: Iterable[str]) -> None:
    if id not in (known := sorted(ids)):
        raise BadInput(f"unknown {library} id `{id}`{among(id, known)}")


def _box(shape: Any, dtype: Any, low: Any, high: Any) -> Box:
    """Bytes stay bytes, everything else is seen as float32."""
    dtype = np.uint8 if dtype == np.uint8 else np.float32
    return Box(tuple(shape), dtype, np.asarray(low, dtype), np.asarray(high, dtype))


@functools.cache
def _navix(id: str) -> Library:
    library = _module("navix", f"navix:{id}")
    _known("navix", id, library.registry())
    world = library.make(id)
    seen, actions = world.observation_space, world.action_space

    def begin(key: Any) -> tuple[Any, Any]:
        told = world.reset(key)
        return told, told.observation

    def move(s: Any, action: Any) -> tuple:
        told = world._step(s, action)  # `step` resets by itself
        return told, told.observation, told.reward, told.is_termination(), told.is_truncation()

    box = _box(seen.shape, seen.dtype, seen.minimum, seen.maximum)
    dynamics = Adapted(begin, move, observation_space=box, action_space=Discrete(int(actions.maximum) + 1))
    return Library(dynamics, int(world.max_steps))


@functools.cache
def _xminigrid(id: str) -> Library:
    library = _module("xminigrid", f"xminigrid:{id}")
    _known("xminigrid", id, library.registered_environments())
    world, params = library.make(id)

    def begin(key: Any) -> tuple[Any, Any]:
        told = world.reset(params, key)
        return told, told.observation

    def move(s: Any, action: Any) -> tuple:
        told = world.step(params, s, action)
        return told, told.observation, told.reward, told.discount == 0, told.last() & (told.discount > 0)

    box = _box(world.observation_shape(params), np.uint8, 0, 255)
    dynamics = Adapted(begin, move, observation_space=box, action_space=Discrete(world.num_actions(params)))
    return Library(dynamics, int(params.max_steps))


@functools.cache
def _brax(id: str, backend: str) -> Library:
    envs = _module("brax.envs", f"brax:{id}")
    _known("brax", id, envs._envs)
    world = envs.get_environment(id, backend=backend)

    def begin(key: Any) -> tuple[Any, Any]:
        told = world.reset(key)
        return told, told.obs

    def move(s: Any, action: Any) -> tuple:
        told = world.step(s, action)
        return told, told.obs, told.reward, told.done > 0, False

    box = _box((world.observation_size,), np.float32, -np.inf, np.inf)
    dynamics = Adapted(
        begin, move, observation_space=box, action_space=Box((world.action_size,), np.float32, -1.0, 1.0)
    )
    return Library(dynamics, 1000)  # that of brax's own wrapper


@functools.cache
def _jumanji(id: str) -> Library:
    library = _module("jumanji", f"jumanji:{id}")
    _known("jumanji", id, library.registered_environments())
    world = library.make(id)
    specs, actions = _module("jumanji.specs", f"jumanji:{id}"), world.action_spec
    sizes = tuple(int(n) for n in np.ravel(getattr(actions, "num_values", 0)))
    joint = np.shape(getattr(actions, "num_values", 0)) == (len(sizes),)  # several numbers that one mask speaks of

    def space(spec: Any) -> Space:
        if isinstance(spec, specs.DiscreteArray):
            return Discrete(int(spec.num_values))
        if isinstance(spec, specs.Array):
            return _box(spec.shape, spec.dtype, getattr(spec, "minimum", -np.inf), getattr(spec, "maximum", np.inf))
        parts = {name: space(part) for name, part in spec._specs.items() if name != "action_mask"}
        masked = {"allowed": Box((math.prod(sizes),), bool, False, True)} if "action_mask" in spec._specs else {}
        return {**parts, **masked}

    def shown(obs: Any) -> Any:
        if not hasattr(obs, "_asdict"):
            return obs
        parts = obs._asdict()  # type: ignore[attr-defined]  # observations of several parts are named tuples
        mask = parts.pop("action_mask", None)
        seen = {name: shown(part) for name, part in parts.items()}
        return seen if mask is None else {**seen, "allowed": jnp.ravel(mask)}

    def begin(key: Any) -> tuple[Any, Any]:
        s, told = world.reset(key)
        return s, shown(told.observation)

    def move(s: Any, action: Any) -> tuple:
        s, told = world.step(s, jnp.stack(jnp.unravel_index(action, sizes)) if joint else action)
        over = told.last()
        return s, shown(told.observation), told.reward, over & (told.discount == 0), over & (told.discount > 0)

    if not sizes[0]:
        raise BadInput(f"jumanji:{id}: its actions are {actions}; supported are numbers and tuples of numbers")
    dynamics = Adapted(
        begin, move, observation_space=frozen(space(world.observation_spec)), action_space=Discrete(math.prod(sizes))
    )
    limit = getattr(world, "time_limit", None)
    return Library(dynamics, None if limit is None else int(limit))


def _episodes(made: Library, max_steps: int | None) -> Episodes:
    limits = [limit for limit in (made.limit, max_steps) if limit is not None]
    return Episodes(made.dynamics, min(limits, default=None), lazy_width=1)


def navix(id: str, *, max_steps: int | None = None) -> Episodes:
    """MiniGrid in JAX (Pignatelli et al., 2024): `navix:Navix-Empty-8x8-v0`."""
    return _episodes(_navix(id), max_steps)


def xminigrid(id: str, *, max_steps: int | None = None) -> Episodes:
    """XLand-MiniGrid (Nikulin et al., 2023): `xminigrid:MiniGrid-DoorKey-8x8`."""
    return _episodes(_xminigrid(id), max_steps)


def brax(id: str, *, backend: str = "generalized", max_steps: int | None = None) -> Episodes:
    """Rigid bodies (Freeman et al., 2021): `brax:ant`; its Box of actions is [-1, 1]."""
    return _episodes(_brax(id, backend), max_steps)


def jumanji(id: str, *, max_steps: int | None = None) -> Episodes:
    """Combinatorial tasks (Bonnet et al., 2024): `jumanji:Snake-v1`; its action mask is the entry `allowed`.

    Several numbers that make one action are one number here, row-major, as their mask is.
    """
    return _episodes(_jumanji(id), max_steps)
