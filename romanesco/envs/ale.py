"""Atari games as worlds on the host (Bellemare et al., 2013), by the protocols of Machado et al. (2018) and Mnih et al.
(2015)."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from romanesco.core.errors import BadInput
from romanesco.envs import arcade
from romanesco.envs.around import repeated
from romanesco.envs.gym import separate
from romanesco.envs.host import Host
from romanesco.envs.world import World


class Protocol(NamedTuple):
    """How a game is played. Four frames a step, the game's own actions and 108,000 frames at most are common to all."""

    sticky: float  # chance that an emulated frame repeats the action before
    noops: int  # most frames of nothing at the start, and then FIRE
    lives: bool  # while training, a lost life ends an episode
    reward_clip: float  # bound of |reward|, while training


PROTOCOLS = {"v5": Protocol(0.25, 0, False, math.inf), "classic": Protocol(0.0, 30, True, 1.0)}


class Lives(VectorWrapper):
    """A lost life terminates; the game goes on with the next one, which begins with FIRE where there is that button.

    `AtariVectorEnv(episodic_life=True)` begins a new game instead, so that only first lives would be seen. A game that
    is lost within the step that begins an episode is an end that nobody is told: the next step begins a new game.
    """

    def __init__(self, env: VectorEnv, begin: int):
        super().__init__(env)
        self.begin, self.lives = begin, np.zeros(env.num_envs, int)
        self.lost = np.zeros(env.num_envs, bool)

    def reset(self, **told: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(**told)
        self.lives, self.lost = np.array(info["lives"]), np.zeros(self.num_envs, bool)
        return obs, info

    def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(np.where(self.lost, self.begin, actions))
        lives = np.array(info["lives"])
        self.lost = (lives < self.lives) & (lives > 0) & ~self.lost & ~np.logical_or(terminated, truncated)
        self.lives = lives
        return obs, reward, np.logical_or(terminated, self.lost), truncated, info


def atari(
    id: str = "breakout", *, protocol: str = "v5", obs: str = "pixels", sticky: float | None = None,
    reward_clip: float = math.inf, action_repeat: int = 1, vectorization: str = "auto", timeout: float = 60.0,
    max_steps: int | None = None, num_envs: int = 1, render_mode: str | None = None, **settings: Any,
) -> World:  # fmt: skip
    """A game of the Arcade Learning Environment: gray screens uint8 [4 84 84], each the maximum of two frames, or RAM.

    `protocol=v5` plays like `ALE/*-v5`; `classic` like Mnih et al. (2015), whole games in evaluations. `sticky` takes
    the place of the protocol's; of two bounds of rewards the tighter holds. Screens come from `AtariVectorEnv`, one
    thread a core; `vectorization=sync` and `async`, RAM and pictures from emulators of their own.
    """
    game, rules, limit = arcade.rom(id), PROTOCOLS[protocol], max_steps or arcade.CAP // arcade.SKIP
    sticky = rules.sticky if sticky is None else sticky
    told = {"max_steps": repeated(limit, action_repeat), "reward_clip": min(rules.reward_clip, reward_clip), **settings}
    make = functools.partial(
        arcade.emulator, game, obs=obs, sticky=sticky, noops=rules.noops, max_steps=limit, render_mode=render_mode
    )
    if obs == "ram" or vectorization in ("sync", "async"):
        if rules.lives and render_mode is None:
            raise BadInput(
                f"env.protocol={protocol}, env.obs={obs}, env.vectorization={vectorization}: lives that end episodes "
                "need env.obs=pixels and env.vectorization=auto; env.protocol=v5 has none"
            )
        if vectorization == "native":
            raise BadInput("env.vectorization=native shows screens only; env.obs=ram needs auto, sync or async")
        return World.of(
            functools.partial(separate, make, vectorization, timeout, None, action_repeat), num_envs, **told
        )
    if action_repeat != 1:
        raise BadInput(f"env.action_repeat={action_repeat}: games step together; give env.vectorization=sync or async")
    games = functools.partial(_games, game, rules, sticky, limit, timeout)
    whole = functools.partial(games, lives=False)
    return World.of(functools.partial(games, lives=rules.lives), num_envs, judged=whole, **told)


def _games(game: str, rules: Protocol, sticky: float, limit: int, timeout: float, n: int, *, lives: bool) -> Host:
    """n games that ALE steps together."""
    ale = arcade.library()
    ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)  # no banner
    vector = ale.AtariVectorEnv(
        game, n, max_num_frames_per_episode=limit * arcade.SKIP, repeat_action_probability=sticky,
        noop_max=rules.noops, use_fire_reset=rules.noops > 0, reward_clipping=False,
    )  # fmt: skip
    if lives:
        buttons = vector.ale.get_action_set()
        fires = buttons[arcade.FIRE : arcade.FIRE + 1] == [ale.Action.FIRE]
        vector = Lives(vector, arcade.FIRE if fires else 0)
    return Host(vector, timeout=timeout, seeds=np.array)
