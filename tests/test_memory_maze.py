"""Memory Maze: made fast it is the stock one, what it shows, what is missing. Skipped without the extra."""

import importlib.util
import inspect
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.envs import headless, memory_maze
from romanesco.envs.table import resolve


def lacking():
    """Why nothing can be played here, or an empty text."""
    if not all(importlib.util.find_spec(name) for name in ("memory_maze", "dm_control")):
        return 'Memory Maze needs the extra: pip install -e ".[memory-maze]"'
    try:
        headless.opengl()
    except BadInput as error:
        return str(error)
    return ""


LACKING = lacking()
needs = pytest.mark.skipif(bool(LACKING), reason=LACKING)


@pytest.fixture
def replaced(monkeypatch):
    """What is made fast, as (owner, name): all of it stock within a test, and as it was after."""
    tasks = memory_maze._tasks(True)
    from dm_control.composer.observation.observable import MJCFCamera
    from dm_control.locomotion.props.target_sphere import TargetSphere

    places = (TargetSphere, "_update_activation"), (MJCFCamera, "_callable"), (tasks, "MemoryMazeTask")
    for owner, name in places:
        monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    memory_maze._tasks.cache_clear()
    yield places
    memory_maze._tasks.cache_clear()


def composed(env):
    """dm_control's environment within a world."""
    inner = env.task
    while "env" in vars(inner):
        inner = inner.env
    return inner


def lived(stock):
    """Images and rewards of 12 steps, of which every fourth meets a target, and of another episode."""
    from dm_control import mjcf

    env = memory_maze.MemoryMaze(9, stock=stock)
    seen = [env.reset(seed=3)[0].copy()]
    task, physics = composed(env).task, composed(env).physics
    for t in range(12):
        frame = physics.bind(mjcf.get_attachment_frame(task._targets[task._current_target_ix].mjcf_model))
        home = np.array(frame.pos)
        if t % 4 == 3:
            frame.pos[:2] = physics.bind(task._walker.root_body).xpos[:2]
        obs, reward, *_ = env.step(t % 6)
        seen += [obs, np.float32(reward)]
        frame.pos[:] = home
    seen += [env.reset()[0], env.step(1)[0]]
    env.close()
    return seen


@needs
@pytest.mark.slow
def test_made_fast_it_is_the_stock_one(replaced):
    stock = lived(True)
    assert not any(hasattr(getattr(*place), "__wrapped__") for place in replaced)
    quick = lived(False)
    assert all(hasattr(getattr(*place), "__wrapped__") for place in replaced)
    rewards = [x for x in stock if x.ndim == 0]
    assert sum(rewards) == 3 and stock[0].shape == (64, 64, 3)
    for a, b in zip(stock, quick, strict=True):
        np.testing.assert_array_equal(a, b)


@needs
def test_what_is_not_the_known_source_is_left_alone(replaced, monkeypatch):
    owner, name = replaced[0]

    def other(self, physics):
        pass

    monkeypatch.setattr(owner, name, other)
    with pytest.warns(UserWarning, match="TargetSphere._update_activation is not the known one"):
        memory_maze._tasks(False)
    assert getattr(owner, name) is other


@needs
@pytest.mark.slow
def test_an_image_may_be_larger_than_640_x_480():
    env = memory_maze.MemoryMaze(9, camera_resolution=700)
    assert env.reset(seed=0)[0].shape == (700, 700, 3)
    env.close()


@needs
@pytest.mark.slow
def test_streams_in_processes_are_those_of_this_process():
    keys = jax.random.split(jax.random.key(0), 2)
    lives = []
    for how in ("sync", "auto"):
        world = memory_maze.memory_maze(extra=True, vectorization=how, num_envs=2, max_steps=3, timeout=600)
        assert world.max_steps == 3
        env = world.streams(2)
        steps = [env.reset(keys), *(env.step(keys, np.array([1, 2])) for _ in range(4))]
        lives.append(jax.tree.map(lambda *xs: np.stack(xs), *steps))
        env.close()
    jax.tree.map(np.testing.assert_array_equal, *lives)
    steps = lives[0]
    assert steps.last[3].all() and (steps.discount == 1).all() and steps.first[4].all()
    assert steps.obs["maze_layout"].shape == (5, 2, 9, 9) and steps.obs["targets_vec"].shape == (5, 2, 3, 2)
    assert steps.obs["image"].dtype == np.uint8 and (steps.obs["image"][0, 0] != steps.obs["image"][0, 1]).any()


@needs
@pytest.mark.slow
def test_the_limit_is_a_truncation_and_the_box_has_two_components():
    env = memory_maze.MemoryMaze(9, discrete=False)
    env.reset(seed=0)
    composed(env)._time_limit = 0.5 - 1e-3  # seconds, of 4 steps each
    assert [env.step(np.zeros(2, np.float32))[2:4] for _ in range(2)] == [(False, False), (False, True)]
    assert env.action_space.shape == (2,)
    env.close()


def test_names():
    assert resolve("MemoryMaze-9x9-v0") == ("memory_maze", {})
    assert resolve("MemoryMaze-13x13-v0") == ("memory_maze", {"size": 13})


def test_a_worker_imports_no_jax():
    code = "import sys, romanesco.envs.memory_maze; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_without_the_library_the_extra_is_named(monkeypatch):
    memory_maze._tasks.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r'pip install -e "\.\[memory-maze\]"'):
        memory_maze.memory_maze()


def test_without_opengl_the_packages_are_named(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(headless, "PROBE", "raise SystemExit(1)")
    with pytest.raises(BadInput, match=r"libegl1 \(MUJOCO_GL=egl\), or apt-get install libosmesa6"):
        headless.opengl()
    assert "MUJOCO_GL" not in os.environ
    monkeypatch.setattr(headless, "PROBE", "import os; os._exit(os.environ['MUJOCO_GL'] != 'osmesa')")
    headless.opengl()
    assert os.environ.pop("MUJOCO_GL") == "osmesa"


def test_what_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    headless.opengl()
    headless.no_window()
    assert (os.environ["MUJOCO_GL"], os.environ["SDL_VIDEODRIVER"]) == ("glfw", "x11")
