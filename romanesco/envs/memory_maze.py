"""Memory Maze (Pasukonis et al., 2022): targets in rooms, asked for by color, to be found again and again.

Needs no JAX until a world is made: workers import this file.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from romanesco.core.errors import BadInput
from romanesco.envs import headless

SIZES = {9: (3, 1000), 11: (4, 2000), 13: (5, 3000), 15: (6, 4000)}  # targets, and steps of an episode
ACTIONS = 6  # nothing, forward, left, right, forward and left, forward and right
KNOWN = {  # SHA-256 of the sources that faster ones stand in for
    "_update_activation": "a16bd23cd565c112613d28e64cbb704ed64fe6c0ee7657fdcc7ccd7350b7c702",
    "_callable": "4f1e8e9122800bcc8bbec0013fdf2b2462b792cb80480e00c68adfc0d762b253",
    "MemoryMazeTask": "c863400acee8b0f0a3c923a57a599b3a990fa5c9ee21c25aa983f2a12eb5bfc6",
}


class MemoryMaze(gymnasium.Env):
    """One maze; made anew at `reset(seed)`, for only its constructor takes a seed."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, size: int = 9, discrete: bool = True, extra: bool = False, stock: bool = False, **options: Any):
        self.make = functools.partial(
            getattr(_tasks(stock), f"memory_maze_{size}x{size}"), discrete_actions=discrete,
            image_only_obs=not extra, global_observables=extra, **options,
        )  # fmt: skip
        pixels = options.get("camera_resolution", 64)
        image = Box(0, 255, (pixels, pixels, 3), np.uint8)
        self.action_space = Discrete(ACTIONS) if discrete else Box(-1, 1, (2,), np.float32)
        self.observation_space = Dict({"image": image, **_extra(size)}) if extra else image
        self.render_mode, self.task, self.seen = "rgb_array", None, None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        if self.task is None or seed is not None:
            self.close()
            self.task = self.make(seed=seed)
        self.seen = self.task.reset().observation
        return self.seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        told = self.task.step(action)  # type: ignore[union-attr]
        self.seen = told.observation
        return self.seen, float(told.reward or 0), False, told.last(), {}

    def render(self) -> Any:
        return self.seen["image"] if isinstance(self.seen, dict) else self.seen

    def close(self) -> None:
        if self.task is not None:
            self.task.close()
            self.task = None


def _extra(size: int) -> dict[str, Box]:
    """What `extra=true` tells beside the image; places in cells, from the lower left corner."""
    n = SIZES[size][0]
    shapes = {"target_color": (3,), "agent_pos": (2,), "agent_dir": (2,), "targets_vec": (n, 2), "targets_pos": (n, 2),
              "target_vec": (2,), "target_pos": (2,)}  # fmt: skip
    floats = {name: Box(-np.inf, np.inf, shape, np.float64) for name, shape in shapes.items()}
    return {**floats, "maze_layout": Box(0, 1, (size, size), np.uint8)}


@functools.cache
def _tasks(stock: bool) -> Any:
    """memory_maze.tasks, without its package's `__init__`, which wants the old `gym`; made fast."""
    spec = importlib.util.find_spec("memory_maze")
    if spec is None or importlib.util.find_spec("dm_control") is None:
        raise BadInput('env=memory_maze needs memory-maze, dm_control and mujoco; pip install -e ".[memory-maze]"')
    headless.opengl()
    logging.getLogger("absl").setLevel(logging.ERROR)  # each episode warns of a velocity that is not there
    if "memory_maze" not in sys.modules:
        sys.modules["memory_maze"] = empty = types.ModuleType("memory_maze")
        empty.__spec__, empty.__path__ = spec, list(spec.submodule_search_locations or [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that it imports
        tasks = importlib.import_module("memory_maze.tasks")
    if not stock:
        _quicken(tasks)
    return tasks


def _quicken(tasks: Any) -> None:
    """The same images and rewards in a third of the time:

    - targets look at contacts one by one, 50 times a step, only where one of them is theirs;
    - a camera keeps its scene for an episode, where each image made one of its own;
    - what is drawn into is as large as the image, not 640 x 480 (nor does a larger image fail);
    - Mesa draws in the thread that asks: images are small, and there is a process for each stream.
    """
    from dm_control.composer.observation.observable import MJCFCamera
    from dm_control.locomotion.props.target_sphere import TargetSphere
    from dm_control.mujoco.engine import Camera

    def touched(stock: Callable) -> Callable:
        def update(self: Any, physics: Any) -> None:
            if not self._activated and any(self._geom_id in pair for pair in physics.data.contact.geom.tolist()):
                stock(self, physics)

        return update

    def kept(stock: Callable) -> Callable:
        def observation(self: Any, physics: Any) -> Callable[[], np.ndarray]:
            camera = Camera(physics, self._height, self._width, self._mjcf_element.full_identifier)
            how = {"depth": self._depth, "segmentation": self._segmentation, "scene_option": self._scene_option,
                   "render_flag_overrides": self._render_flag_overrides}  # fmt: skip
            return lambda: np.atleast_3d(camera.render(**how).copy())  # it draws into one buffer again and again

        return observation

    def small(stock: Callable) -> Callable:
        def task(*, camera_resolution: int, **options: Any) -> Any:
            made = stock(camera_resolution=camera_resolution, **options)
            drawn = getattr(made.root_entity.mjcf_model.visual, "global")
            drawn.offwidth = drawn.offheight = camera_resolution
            return made

        return task

    os.environ.setdefault("LP_NUM_THREADS", "0")
    _stand_in(TargetSphere, "_update_activation", touched)
    _stand_in(MJCFCamera, "_callable", kept)
    _stand_in(tasks, "MemoryMazeTask", small)


def _stand_in(owner: Any, name: str, quicker: Callable[[Callable], Callable]) -> None:
    """`quicker(stock)` in the place of what has the known source; else that stays, and a warning says so."""
    stock = getattr(owner, name)
    if hasattr(stock, "__wrapped__"):
        return
    if hashlib.sha256(inspect.getsource(stock).encode()).hexdigest() == KNOWN[name]:
        setattr(owner, name, functools.wraps(stock)(quicker(stock)))
    else:
        warnings.warn(f"memory_maze: {owner.__name__}.{name} is not the known one; steps take longer", stacklevel=2)


def memory_maze(
    *, size: int = 9, discrete: bool = True, extra: bool = False, good_visibility: bool = False,
    top_camera: bool = False, camera_resolution: int = 64, control_freq: float = 4.0, randomize_colors: bool = False,
    vectorization: str = "auto", timeout: float = 60.0, max_steps: int | None = None, action_repeat: int = 1,
    num_envs: int = 1, render_mode: str | None = None, **settings: Any,
) -> Any:  # fmt: skip
    """Memory Maze as a `World`: reward 1 for each target found; it never terminates. One process a stream."""
    from romanesco.envs.around import repeated
    from romanesco.envs.gym import separate
    from romanesco.envs.world import World

    if size not in SIZES:
        raise BadInput(f"env.size={size}: Memory Maze has sizes {', '.join(map(str, SIZES))}")
    del render_mode  # an image is what is seen
    if vectorization == "native":
        raise BadInput("env.vectorization=native: Memory Maze has no vector environment; use auto, sync or async")
    _tasks(False)  # what is missing is told here, and workers inherit the choice of OpenGL
    make = functools.partial(
        MemoryMaze, size, discrete, extra, good_visibility=good_visibility, top_camera=top_camera,
        camera_resolution=camera_resolution, control_freq=control_freq, randomize_colors=randomize_colors,
    )  # fmt: skip
    limit = round(SIZES[size][1] * control_freq / 4)
    how = "async" if vectorization == "auto" else vectorization
    streams = functools.partial(separate, make, how, timeout, max_steps, action_repeat)
    return World.of(streams, num_envs, max_steps=repeated(min(max_steps or limit, limit), action_repeat), **settings)
