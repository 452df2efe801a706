"""Mystery Path does what memory-gym 1.0.2 does on the same draws: as recorded, and live where it is installed."""

import functools

import jax
import numpy as np
import pytest
from record_mysterypath import EPISODES, HERE, OPTIONS, WORDS, crc, episodes, make, mazes

from romanesco.envs.maze import maze
from romanesco.envs.mysterypath import mysterypath

NAMES = [f"{variant}-{easy}-{i}" for variant, n in EPISODES.items() for easy in OPTIONS for i in range(n)]
LIMIT = {"grid": 128, "continuous": 512}
MAZE, MAZES = jax.jit(maze), jax.jit(jax.vmap(maze))


@pytest.fixture(scope="module")
def recorded():
    return dict(np.load(HERE / "mysterypath.npz"))


@functools.cache
def _player(variant, easy):
    world = mysterypath(variant=variant, easy=easy == "easy", obs="pixels").dynamics
    assert world.variant.limit == LIMIT[variant]

    @jax.jit
    def play(maze, actions):
        def tick(s, action):
            s, reward, terminated, _ = world.transition(key, s, action)
            return s, (reward, terminated, world.observe(key, s))

        key = jax.random.key(0)
        s = world.enter(maze)
        return world.observe(key, s), jax.lax.scan(tick, s, actions)[1]

    return play


def compare(name, words, actions, reward, done, checks):
    """Plays the actions here; rewards, ends and images must be those given."""
    variant, easy, _ = name.split("-")
    n, limit = len(actions), LIMIT[variant]
    padded = np.pad(actions, (0, limit - n)).astype(np.int32)  # one program for all
    begun, (rewards, ends, images) = _player(variant, easy)(MAZE(words), padded)
    assert checks.tolist() == crc([np.asarray(begun), *np.asarray(images[:n])]).tolist()
    np.testing.assert_allclose(rewards[:n], reward[1:], atol=1e-7)
    told = np.asarray(ends[:n]) | (np.arange(1, n + 1) == limit)  # theirs calls its limit an end
    assert told.tolist() == done[1:].tolist()


def same_mazes(words, start, goal, path):
    ours = MAZES(words)
    for got, want in ((ours.start, start), (ours.goal, goal), (ours.path, path)):
        np.testing.assert_array_equal(got, want)


def test_mazes(recorded):
    words, start, goal = (recorded[f"mazes/{part}"] for part in ("words", "start", "goal"))
    same_mazes(words, start, goal, np.unpackbits(recorded["mazes/path"], axis=1, count=49).astype(bool))


@pytest.mark.parametrize("name", NAMES)
def test_episode(recorded, name):
    compare(name, *(recorded[f"{name}/{part}"] for part in ("words", "actions", "reward", "done", "crc")))


def test_a_wrong_word_is_another_maze(recorded):
    """The comparison would see one cost that is drawn differently."""
    words = recorded["mazes/words"].copy()
    words[:, 30] += 1
    path = MAZES(words).path
    assert (np.packbits(path, axis=1) != recorded["mazes/path"]).any(1).mean() > 0.05


def test_live():
    """Fresh draws, where `pip install --no-deps memory-gym==1.0.2` was run."""
    pytest.importorskip("memory_gym")
    rng = np.random.default_rng()
    words = rng.integers(0, 2**32, (300, WORDS), dtype=np.uint32)
    same_mazes(words, *mazes(make("grid"), words))
    for name, words, actions, reward, done, image in episodes(rng):
        compare(name, words, actions, reward, done, crc(image))
