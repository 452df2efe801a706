"""Atari games: which there are, and one emulator as a Gymnasium environment. Needs no JAX: workers import this file."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from romanesco.core.errors import BadInput, among
from romanesco.envs import headless

SKIP, CAP = 4, 108_000  # emulated frames of a step, and of an episode at most
FIRE = 1  # where a game has this button, it is its second action
DUELS = ("combat", "joust", "maze_craze", "warlords")  # for two players only: loading one ends the process


def library() -> Any:
    """ale_py; `BadInput` with the remedy where it, or OpenCV, is not installed."""
    headless.no_window()
    try:
        import ale_py.registration
        import ale_py.roms
        import cv2  # noqa: F401  # gymnasium's preprocessing resizes with it
    except ImportError as error:
        raise BadInput(f'env=atari: {error}; pip install -e ".[atari]"') from None
    return ale_py


def rom(id: str) -> str:
    """The packaged ROM that is meant, underscores and capitals or not; an unknown one raises `BadInput` with the
    nearest."""
    plain = lambda name: name.replace("_", "").lower()
    games = {plain(name): name for name in library().roms.get_all_rom_ids()}
    found = games.get(plain(id))
    if found is None:
        raise BadInput(f"env.id={id}: no such game{among(id.lower(), sorted(games.values()))}")
    if found in DUELS:
        raise BadInput(f"env.id={id}: a game for two players only; there is one agent")
    return found


class Begun(gymnasium.Wrapper):
    """Episodes begin with up to `noops` frames of nothing, and FIRE where there is such a button."""

    def __init__(self, env: gymnasium.Env, noops: int):
        super().__init__(env)
        self.noops = noops
        self.fires = "FIRE" in env.unwrapped.get_action_meanings()[FIRE : FIRE + 1]  # type: ignore[attr-defined]

    def reset(self, **told: Any) -> tuple[Any, dict[str, Any]]:
        seen = self.env.reset(**told)
        idle = int(self.unwrapped.np_random.integers(self.noops)) + 1 - self.fires
        for action in [0] * idle + [FIRE] * self.fires:
            obs, *_, info = self.env.step(action)
            seen = obs, info
        return seen


def emulator(
    game: str, *, obs: str, sticky: float, noops: int, max_steps: int, render_mode: str | None = None
) -> gymnasium.Env:
    """One game: its screen by gymnasium's preprocessing, as `AtariVectorEnv` shows it, or 128 bytes of memory."""
    name = library().registration.rom_id_to_name(game)
    skip = SKIP if obs == "ram" else 1  # the preprocessing skips by itself: it sees the last two frames
    env = gymnasium.make(
        f"ALE/{name}-v5", obs_type="ram" if obs == "ram" else "rgb", frameskip=skip, repeat_action_probability=sticky,
        max_num_frames_per_episode=max_steps * SKIP, render_mode=render_mode, disable_env_checker=True,
    )  # fmt: skip
    env = Begun(env, noops) if noops else env
    if obs == "ram":
        return env
    return FrameStackObservation(AtariPreprocessing(env, noop_max=0, frame_skip=SKIP), 4, padding_type="zero")
