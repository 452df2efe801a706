"""One Gymnasium environment as everything above expects it. Needs no JAX: workers of `async` import this file.

Environments of users speak in many ways: rewards as arrays, observations as lists, `done` in one flag, an exception in
the middle. Here each becomes one way, and what goes wrong becomes a `HostFault` that says where.
"""

from __future__ import annotations

import inspect
import os
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from romanesco.core.errors import BadInput, HostFault
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space
from romanesco.envs import headless

DECLARED = ("success", "lives")  # the entries of `info` that become metrics
ALLOWED = "allowed"  # the entry of an observation that says which actions exist now
SUPPORTED = "Box, Discrete, MultiDiscrete and MultiBinary, and Dict and Tuple of them"


def ours(space: spaces.Space, where: str) -> Space:
    """A Gymnasium space in our words; `where` names its place in errors.

    Floats are seen as float32, integers and booleans of a Box other than bytes too. Keys of a Dict keep their names;
    the entry `allowed` is a mask of actions, flat and of booleans whatever its kind.
    """
    match space:
        case spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case spaces.MultiBinary():
            return MultiDiscrete(np.full(space.shape, 2))  # type: ignore[arg-type]
        case spaces.MultiDiscrete() if not np.any(space.start):
            return MultiDiscrete(space.nvec)  # type: ignore[arg-type]
        case spaces.Box():
            if 0 in space.shape:
                raise BadInput(f"{where}: a Box of shape {space.shape}, in which there is nothing")
            dtype = np.uint8 if space.dtype == np.uint8 else np.float32
            bound = lambda x: np.asarray(x, dtype)
            return Box(space.shape, dtype, bound(space.low), bound(space.high))
        case spaces.Dict():
            parts = space.spaces.items()
            return {str(k): _mask(s) if k == ALLOWED else ours(s, f"{where}[{k!r}]") for k, s in parts}
        case spaces.Tuple():
            return tuple(ours(s, f"{where}[{i}]") for i, s in enumerate(space.spaces))
    kind = type(space).__name__ + (" that does not start at 0" if isinstance(space, spaces.MultiDiscrete) else "")
    raise BadInput(f"{where}: a space of kind {kind}; supported are {SUPPORTED}")


def _mask(space: spaces.Space) -> Box:
    return Box((int(np.prod(space.shape or ())),), bool, False, True)


def batched(space: spaces.Space, rows: Any) -> Any:
    """A vector environment's observations, copied, [B ...] each, in the types that `ours` says."""
    match space:
        case spaces.Dict():
            made = {str(k): batched(s, rows[k]) for k, s in space.spaces.items()}
            if ALLOWED in made:
                made[ALLOWED] = made[ALLOWED].astype(bool).reshape(len(made[ALLOWED]), -1)
            return made
        case spaces.Tuple():
            return tuple(batched(s, row) for s, row in zip(space.spaces, rows, strict=True))
        case spaces.Box():
            return np.array(rows, np.uint8 if space.dtype == np.uint8 else np.float32)
    return np.array(rows, np.int32)


def theirs(space: spaces.Space, action: Any) -> Any:
    """Actions [B ...] in the form that `ours` says, copied into a vector environment's own form and types."""
    match space:
        case spaces.Dict():
            return {k: theirs(s, action[str(k)]) for k, s in space.spaces.items()}
        case spaces.Tuple():
            return tuple(map(theirs, space.spaces, action))
    return action.astype(space.dtype, copy=True)


def registered(
    id: Any, *, randomize: Mapping[str, Sequence[float]] | None = None, context: bool = False, **options: Any
) -> Any:
    """A Gymnasium environment by its id or specification; here, so that a worker that makes one imports no JAX.

    Attributes named in `randomize` are drawn anew for each episode.
    """
    headless.no_window()
    with warnings.catch_warnings():  # Box2D's import crashes the process where this one is an error
        warnings.filterwarnings("ignore", "builtin type .* has no __module__", DeprecationWarning)
        made = gymnasium.make(id, disable_env_checker=True, **options)
    return Drawn(made, randomize, context) if randomize else made


class Drawn(gymnasium.Wrapper):
    """An environment whose attributes `ranges` names are drawn before each reset, uniformly from [low, high].

    With `context` the observation is {state, context}: the draws, each scaled to [-1, 1].
    """

    def __init__(self, env: gymnasium.Env, ranges: Mapping[str, Sequence[float]], context: bool):
        super().__init__(env)
        self.names, self.context = tuple(ranges), context
        self.low, self.high = np.array([ranges[name] for name in self.names], np.float64).T
        self.draws, self.share = np.random.default_rng(), np.zeros(len(self.names))
        if context:
            shown = spaces.Box(-1.0, 1.0, (len(self.names),), np.float32)
            self.observation_space = spaces.Dict({"state": env.observation_space, "context": shown})

    def _seen(self, obs: Any) -> Any:
        shown = np.where(self.high > self.low, 2 * self.share - 1, 0).astype(np.float32)
        return {"state": obs, "context": shown} if self.context else obs

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        if seed is not None:
            self.draws = np.random.default_rng(seed)
        self.share = self.draws.random(len(self.names))
        for name, x in zip(self.names, self.low + self.share * (self.high - self.low), strict=True):
            setattr(self.env.unwrapped, name, float(x))
        obs, info = self.env.reset(seed=seed, options=options)
        return self._seen(obs), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._seen(obs), reward, terminated, truncated, info


class Tidy(gymnasium.Env):
    """Environment `index` of a vector: made by `make`, five answers of plain types, faults with an address.

    `max_steps` truncates, for environments whose own limit cannot be set otherwise. Every action is done `repeat`
    times, or until the episode ends; `info["steps"]` says how often, where it is not once.
    """

    def __init__(self, make: Callable[[], Any], index: int, max_steps: int | None = None, repeat: int = 1):
        self.index, self.max_steps, self.repeat, self.calls, self.length = index, max_steps, repeat, 0, 0
        if repeat < 1:
            raise BadInput(f"action_repeat={repeat}: at least 1")
        self.env = self._guarded("being made", make)
        if isinstance(self.env, gymnasium.vector.VectorEnv):
            raise BadInput(
                f"env: the factory makes a {type(self.env).__name__}; let it make one environment, of which as many "
                "are made as streams are wanted"
            )
        for name in ("observation_space", "action_space", "reset", "step"):
            if not hasattr(self.env, name):
                raise HostFault(f"environment {index}: {type(self.env).__name__} has no `{name}`")
        self.observation_space, self.action_space = self.env.observation_space, self.env.action_space
        self.metadata, self.render_mode = {}, getattr(self.env, "render_mode", None)
        self._seeded = "seed" in inspect.signature(self.env.reset).parameters or hasattr(self.env, "unwrapped")

    def _guarded(self, doing: str, act: Callable, *args: Any, **words: Any) -> Any:
        try:
            return act(*args, **words)
        except HostFault:  # of a deadline
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(last.filename)}, line {last.lineno}"
            said = " ".join(str(error).split())
            raise HostFault(
                f"environment {self.index} broke {doing}: {type(error).__name__}: {said} ({place})"
            ) from error

    def _observation(self, space: spaces.Space, x: Any) -> Any:
        match space:
            case spaces.Box():  # by far the most, and the one that is quick to tell
                pass
            case spaces.Dict():
                return {k: self._observation(s, x[k]) for k, s in space.spaces.items()}
            case spaces.Tuple():
                return tuple(self._observation(s, x[i]) for i, s in enumerate(space.spaces))
        said = np.asarray(x)
        made = np.asarray(said, space.dtype)
        if made.shape != space.shape:
            raise ValueError(f"an observation of shape {made.shape}, where its space says {space.shape}")
        if said.dtype != made.dtype and made.dtype.kind in "iub" and not np.array_equal(said, made):
            raise ValueError(f"an observation of {said.dtype} whose numbers are none of its space's {made.dtype}")
        return made

    def _info(self, info: Any) -> dict[str, float]:
        told = {}
        for name in DECLARED:
            if isinstance(info, dict) and name in info:
                if np.size(info[name]) != 1 or np.asarray(info[name]).dtype.kind not in "biuf":
                    raise ValueError(f"info[{name!r}] is {info[name]!r}, where a number is needed")
                told[name] = float(np.asarray(info[name]).reshape(()))
        return told

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        said = self._guarded("in reset", self.env.reset, **({"seed": seed} if self._seeded else {}))
        obs, info = said if isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], dict) else (said, {})
        self.length = 0
        obs = self._guarded("in reset", self._observation, self.observation_space, obs)
        return obs, self._guarded("in reset", self._info, info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        if self.repeat == 1:
            return self._once(action)
        before = self.length
        obs, total, terminated, truncated, info = self._once(action)
        for _ in range(self.repeat - 1):
            if terminated or truncated:
                break
            obs, reward, terminated, truncated, info = self._once(action)
            total += reward
        return obs, total, terminated, truncated, {**info, "steps": float(self.length - before)}

    def _once(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.calls, self.length = self.calls + 1, self.length + 1
        return self._guarded(f"at its step {self.calls}", self._step, action)

    def _step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        said = self.env.step(action)
        if len(said) == 4:  # the older form: one flag, the limit told in `info`
            obs, reward, done, info = said
            truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
            terminated = bool(done) and not truncated
        else:
            obs, reward, terminated, truncated, info = said
        limit = self.max_steps is not None and self.length >= self.max_steps
        obs = self._observation(self.observation_space, obs)
        if not isinstance(reward, float) and np.size(reward) == 1:
            reward = np.asarray(reward, np.float64).reshape(())
        return obs, float(reward), bool(terminated), bool(truncated) or limit, self._info(info)

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        if hasattr(self.env, "close"):
            self.env.close()
