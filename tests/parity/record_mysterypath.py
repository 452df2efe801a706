"""Records what memory-gym 1.0.2 does: `python tests/parity/record_mysterypath.py`, with a Python that has it.

Needs memory-gym, pygame, safetensors and NumPy, not romanesco. Writes `mysterypath.npz` beside this file: mazes and
trajectories on tapes of draws. `--sprites` writes instead what romanesco/envs draws its walker with.
"""

import itertools
import os
import sys
import zlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
SPRITES = HERE.parent.parent / "romanesco" / "envs" / "mysterypath.safetensors"
SIDE, TILE, WORDS, SEARCH = 7, 12, 112, 28  # the last: where the draws of the search begin
MAZES, EPISODES = 300, {"grid": 4, "continuous": 3}
OPTIONS = {"hard": {}, "easy": {"show_origin": True, "show_goal": True, "reward_path_progress": 0.1}}


class Tape:
    """What memory-gym asks of a NumPy generator, answered from given words: each modulo the number of outcomes."""

    def __init__(self, words):
        self.words, self.at = [int(word) for word in words], 0

    def integers(self, low, high):
        if (low, high) == (1, 9):
            self.at = max(self.at, SEARCH)
        self.at += 1
        return low + self.words[self.at - 1] % (high - low)

    def choice(self, options):
        self.at += 1
        return options[self.words[self.at - 1] % len(options)]


def make(variant):
    """-> a class of memory-gym, headless."""
    os.environ["SDL_VIDEODRIVER"] = os.environ["SDL_AUDIODRIVER"] = "dummy"
    from memory_gym.mystery_path import MysteryPathEnv
    from memory_gym.mystery_path_grid import GridMysteryPathEnv

    return {"grid": GridMysteryPathEnv, "continuous": MysteryPathEnv}[variant]()


def begin(env, words, options):
    """-> the first image of the maze that these words draw."""
    env._np_random = Tape(words)
    return env.reset(options=options)[0]


def tiles(env):
    """-> start, goal, and whether each of the 49 tiles is on the path."""
    path = np.zeros(SIDE * SIDE, bool)
    path[[SIDE * node.x + node.y for node in env.mystery_path.path]] = True
    return SIDE * env.start[0] + env.start[1], SIDE * env.end[0] + env.end[1], path


def mazes(env, words):
    """-> start [N], goal [N], path [N 49]."""
    return [np.array(x) for x in zip(*((begin(env, tape, {}), tiles(env))[1] for tape in words), strict=True)]


def towards(env, variant):
    """-> the action that follows the path."""
    path = [(node.x, node.y) for node in reversed(env.mystery_path.path)]
    here = tuple(int(x) // TILE for x in env.agent.rect.center)
    target = path[min(path.index(here) + 1, len(path) - 1)] if here in path else path[0]
    dx, dy = (TILE * to + TILE // 2 - x for to, x in zip(target, env.agent.rect.center, strict=True))
    if variant == "continuous":
        across, down = (0 if abs(d) < 2 else 1 + (d > 0) for d in (dx, dy))
        return 3 * across + (down if across == 0 else 0)
    wanted = 0 if dy < 0 else 180 if dy > 0 else 90 if dx < 0 else 270
    turn = (wanted - env.agent.rotation) % 360
    return 3 if turn == 0 else 2 if turn == 270 else 1


def play(env, variant, words, options, actions, follow):
    """One episode -> the actions taken, and reward, end and image of every step, the reset first."""
    seen = [(0.0, False, begin(env, words, options))]
    taken = []
    for action, lead in zip(actions, follow, strict=True):
        taken.append(towards(env, variant) if lead else int(action))
        entered = taken[-1] if variant == "grid" else divmod(taken[-1], 3)
        image, reward, done, _, _ = env.step(entered)
        seen.append((reward, done, image))
        if done:
            break
    reward, done, image = map(np.array, zip(*seen, strict=True))
    return np.array(taken), reward, done, image


def crc(images):
    """-> a checksum of each image."""
    return np.array([zlib.crc32(np.ascontiguousarray(image).tobytes()) for image in images], np.uint32)


def episodes(rng):
    """-> name, tape, actions, reward, end and image of every step, of both variants, hard and easy.

    In each the walker follows the path more often than in the one before.
    """
    for variant, easy in itertools.product(EPISODES, OPTIONS):
        env = make(variant)
        limit, outcomes = env.default_reset_parameters["max_steps"], {"grid": 4, "continuous": 9}[variant]
        for i in range(EPISODES[variant]):
            words = rng.integers(0, 2**32, WORDS, dtype=np.uint32)
            actions, follow = rng.integers(0, outcomes, limit), rng.random(limit) < 0.9 * i / (EPISODES[variant] - 1)
            yield f"{variant}-{easy}-{i}", words, *play(env, variant, words, OPTIONS[easy], actions, follow)


def record():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, (MAZES, WORDS), dtype=np.uint32)
    start, goal, path = mazes(make("grid"), words)
    made = {"mazes/words": words, "mazes/start": start, "mazes/goal": goal, "mazes/path": np.packbits(path, axis=1)}
    for name, words, actions, reward, done, image in episodes(rng):
        parts = {"words": words, "actions": actions.astype(np.uint8), "reward": reward, "done": done}
        made |= {f"{name}/{part}": x for part, x in (parts | {"crc": crc(image)}).items()}
        fallen = (image == (255, 0, 0)).all(-1).any((1, 2)).sum()
        print(f"{name}: {len(actions)} steps, {fallen} falls, return {reward.sum():.1f}")
    np.savez_compressed(HERE / "mysterypath.npz", **made)


def sprites():
    """Writes walker uint8 [8 28 28 3] by eighths of a turn to the left, and cross [10 10 3]; transparent is 0."""
    env = make("continuous")
    begin(env, range(WORDS), {})
    import pygame

    walker = np.stack([pygame.surfarray.array3d(surface) for surface in env.agent.character_surfaces])
    walker[(walker == (0, 0, 255)).all(-1)] = 0  # the key color of its surfaces
    save_file({"walker": walker, "cross": pygame.surfarray.array3d(env.fall_off_surface).copy()}, SPRITES)


if __name__ == "__main__":
    sprites() if "--sprites" in sys.argv else record()
