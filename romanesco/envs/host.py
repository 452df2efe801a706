"""Worlds outside the program: Gymnasium environments as B streams in next-step autoreset."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import operator
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from jaxtyping import Array, Float, Key, PyTree

from romanesco.core.errors import BadInput, HostFault
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, describe, in_form, leaves
from romanesco.core.types import TimeStep
from romanesco.envs.tidy import DECLARED, batched, ours, theirs


def _end(vector: VectorEnv) -> None:
    """Closes a vector environment; its processes hear no signal, so they are killed."""
    with contextlib.suppress(Exception):  # of workers that are gone
        if isinstance(vector, AsyncVectorEnv):
            for worker in vector.processes:
                worker.kill()
            vector.close(terminate=True)
        else:
            vector.close()
    vector.closed = True


class Host:
    """A Gymnasium vector environment in next-step autoreset as a `HostEnv`.

    Stream i is seeded once, at `reset`, with 31 bits of its key; `seeds` makes of these numbers what the vector
    environment takes. Observations are copies. Actions are checked before the environments see them; a NaN, a fault or
    `timeout` seconds without an answer raise `HostFault`. `close()` ends it, as the end of the program does.
    """

    def __init__(self, vector: VectorEnv, *, timeout: float = 60.0, seeds: Callable[[list[int]], Any] | None = None):
        mode = vector.metadata.get("autoreset_mode")
        if mode != AutoresetMode.NEXT_STEP:
            raise BadInput(
                f"{type(vector).__name__} resets in mode {getattr(mode, 'name', mode)}; construct it with "
                "autoreset_mode=gymnasium.vector.AutoresetMode.NEXT_STEP, or give a single environment or a factory"
            )
        self.close = weakref.finalize(self, _end, vector)  # once: by a call, with this object, or with the program
        atexit.register(self.close)  # before the program waits for its processes
        self.vector, self.timeout, self.num_envs = vector, timeout, vector.num_envs
        self.observation_space = ours(vector.single_observation_space, "observation")
        self.action_space = ours(vector.single_action_space, "action")
        each = isinstance(vector, SyncVectorEnv | AsyncVectorEnv)
        self._seeds = seeds or (list if each else operator.itemgetter(0))
        self._reset_now = np.zeros(self.num_envs, bool)
        self._return, self._length = np.zeros(self.num_envs), np.zeros(self.num_envs)
        self._told: dict[str, np.ndarray] = {}

    def reset(self, key: Key[Array, "B"]) -> TimeStep:
        seeds = [int(x) >> 1 for x in np.asarray(jax.vmap(jax.random.bits)(key), np.uint32)]
        told: Any = self._seeds(seeds)
        with self._answers("reset"):
            obs, _ = self.vector.reset(seed=told)
        self._reset_now[:] = False
        self._return[:], self._length[:] = 0, 0
        self._told = {}
        zero, one = np.zeros(self.num_envs, np.float32), np.ones(self.num_envs, np.float32)
        return self._seen(obs, zero, one, np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool))

    def step(self, key: Key[Array, "B"], action: PyTree[Any]) -> TimeStep:
        del key  # for worlds whose chance comes from outside
        parts = zip(leaves(self.action_space), jax.tree.leaves(action), strict=True)
        checked = [self._checked(*part) for part in parts]
        entering = theirs(self.vector.single_action_space, in_form(self.action_space, checked))
        with self._answers("step"):
            obs, reward, terminated, truncated, info = self.vector.step(entering)
        first = self._reset_now
        last = np.logical_or(terminated, truncated) & ~first
        reward = np.where(first, 0.0, reward)
        discount = np.where(np.asarray(terminated) & ~first, 0.0, 1.0).astype(np.float32)
        self._return = np.where(first, 0.0, self._return + reward)
        self._length = np.where(first, 0.0, self._length + np.asarray(info.get("steps", 1)))
        for name in {*self._told, *(info.keys() & set(DECLARED))}:
            before = np.where(first, 0.0, self._told.get(name, 0.0))  # nothing outlives its episode
            told = np.where(info.get(f"_{name}", name in info), info.get(name, 0.0), before)
            self._told[name] = told.astype(np.float32)
        self._reset_now = last
        return self._seen(obs, reward.astype(np.float32), discount, first, last)

    def metrics(self) -> dict[str, Float[np.ndarray, "B"]]:
        """Of the episodes that stand at a `last`: `return`, `length`, and what `info` told (`success`, `lives`)."""
        return {"return": self._return, "length": self._length, **self._told}

    def render(self) -> np.ndarray:
        """What the first stream looks like, uint8 [H W 3]."""
        frames = self.vector.render()
        frame = frames[0] if isinstance(frames, tuple | list) else frames
        if frame is None:
            raise BadInput("this environment has no picture; make it with render_mode=rgb_array")
        return np.asarray(frame, np.uint8)

    def _seen(self, obs: Any, reward, discount, first, last) -> TimeStep:
        obs = batched(self.vector.single_observation_space, obs)
        told = {"reward": reward, "observation": obs}
        if not all(map(_finite, jax.tree.leaves(told))):
            raise self._fault(told)
        return TimeStep(obs, reward, discount, first.copy(), last)

    def _fault(self, told: dict[str, Any]) -> HostFault:
        """Where the first number is that is not finite."""
        path, x = next(leaf for leaf in jax.tree_util.tree_leaves_with_path(told) if not _finite(leaf[1]))
        i, *at = np.argwhere(~np.isfinite(x))[0].tolist()
        name = f"{path[0].key}{jax.tree_util.keystr(path[1:])}{at or ''}"
        step = f"step {int(self._length[i])} of its episode"
        return HostFault(f"environment {i} gave {x[(i, *at)]} in {name} at {step} (obs, reward must be finite)")

    def _checked(self, space: Discrete | MultiDiscrete | Box, action: Any) -> np.ndarray:
        """The actions [B ...] of one leaf of the space; one that is foreign to it raises."""
        action, shape = np.asarray(action), (self.num_envs, *space.shape)
        if action.shape != shape:
            raise BadInput(f"actions of shape {action.shape}; {self.num_envs} streams want {shape}")
        if isinstance(space, Box):
            wrong = ~np.isfinite(action)
        else:
            if action.dtype.kind not in "iu":
                raise BadInput(f"actions of type {action.dtype}; {describe(space)} wants integers")
            least, count = (space.start, space.n) if isinstance(space, Discrete) else (0, np.asarray(space.nvec))
            wrong = (action < least) | (action >= least + count)
        if wrong.any():
            i = int(np.argwhere(wrong)[0][0])
            raise BadInput(f"stream {i}: action {action[i].tolist()} is not in {describe(space)}")
        return action

    @contextlib.contextmanager
    def _answers(self, doing: str) -> Iterator[None]:
        """Faults of workers and silence, as `HostFault`."""
        with _deadline(self.timeout, doing):
            try:
                yield
            except (multiprocessing.TimeoutError, TimeoutError):
                raise HostFault(_silence(self.timeout, doing)) from None
            except (EOFError, ConnectionError) as error:
                raise HostFault(f"a worker of the environments died during {doing}: {type(error).__name__}") from error


def _finite(x: np.ndarray) -> bool:
    return x.dtype.kind != "f" or bool(np.isfinite(x).all())


def _silence(timeout: float, doing: str) -> str:
    return f"an environment did not answer to {doing} within env.timeout={timeout:g} s"


@contextlib.contextmanager
def _deadline(seconds: float, doing: str) -> Iterator[None]:
    """`HostFault` after `seconds`, where the process lets its main thread be interrupted."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def late(number, frame):
        raise HostFault(_silence(seconds, doing))

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again, where the first one was swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
