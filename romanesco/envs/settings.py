"""Which transforms the settings `env.*` ask for."""

import inspect
import math
from typing import Any

import jax.numpy as jnp

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Space
from romanesco.core.types import Env
from romanesco.envs.acting import ActionDelay, RescaleActions, Sticky
from romanesco.envs.around import Repeat, Wrapped
from romanesco.envs.episodes import Episodes
from romanesco.envs.flat import FlattenActions
from romanesco.envs.lives import Lives
from romanesco.envs.paying import RewardClip, RewardDelay, RewardScale
from romanesco.envs.previous import ShowPrevious
from romanesco.envs.seeing import Dropout, Noise, NoVelocity, ObsDelay, Stack
from romanesco.envs.table import VELOCITIES
from romanesco.envs.transforms import Transform, spaces


def transforms_of(
    observation: Space,
    action: Space,
    *,
    velocities: tuple[int, ...] = (),
    rescale_actions: bool = False,
    flatten_actions: bool = False,
    sticky: float = 0.0,
    action_delay: int = 0,
    obs_delay: int = 0,
    no_velocity: bool = False,
    obs_dropout: float = 0.0,
    obs_noise: float = 0.0,
    obs_scale: Any = (),
    stack: int = 1,
    show_previous: bool = False,
    reward_delay: int = 1,
    reward_scale: float = 1.0,
    reward_clip: float = math.inf,
) -> tuple[Transform, ...]:
    """The transforms that settings ask for over a world of these spaces, from the world outwards."""
    chosen: list[Transform] = []
    seen = lambda: spaces(tuple(chosen), observation, action)
    if rescale_actions:
        chosen.append(RescaleActions.to(action))
    if flatten_actions:
        chosen.append(FlattenActions.of(observation, action))
    if sticky:
        chosen.append(Sticky.of(sticky, seen()[1]))
    if action_delay:
        chosen.append(ActionDelay.of(action_delay, seen()[1]))
    if obs_delay:
        chosen.append(ObsDelay.of(obs_delay, observation))
    if no_velocity:
        if not velocities:
            raise BadInput(f"no_velocity: this world declares no velocities; those that do: {', '.join(VELOCITIES)}")
        chosen.append(NoVelocity(velocities))
    if obs_dropout:
        chosen.append(Dropout.of(obs_dropout, observation))
    if obs_noise:
        chosen.append(Noise.of(obs_noise, obs_scale, seen()[0]))
    if stack != 1:
        chosen.append(Stack.of(stack, observation))
    if show_previous:
        chosen.append(ShowPrevious.of(*seen()))
    if reward_delay != 1:
        chosen.append(RewardDelay.of(reward_delay))
    if reward_scale != 1:
        chosen.append(RewardScale(jnp.asarray(reward_scale, jnp.float32)))
    if reward_clip != math.inf:
        chosen.append(RewardClip.to(reward_clip))
    return tuple(chosen)


NAMES = tuple(name for name, p in inspect.signature(transforms_of).parameters.items() if p.kind is p.KEYWORD_ONLY)
"""The settings that transforms answer to."""


def apply(
    env: Any, *, max_steps: int | None = None, life_is_episode: bool = False, action_repeat: int = 1, **settings: Any
) -> Env:
    """A pure world under the settings `env.*`, those of its clock and those of `transforms_of`; without any, itself."""
    if max_steps is not None:
        if not isinstance(env, Episodes):
            raise BadInput(
                f"max_steps={max_steps}: {type(env).__name__} keeps its own clock; set its limit where it is built"
            )
        env = env.limited(max_steps)
    if action_repeat != 1:
        env = Repeat(env, action_repeat)
    if life_is_episode:
        env = Lives(env)  # around repeats, which stop where an episode ends inside a life
    velocities = getattr(env, "velocities", ())
    chosen = transforms_of(env.observation_space, env.action_space, velocities=velocities, **settings)
    return Wrapped(env, chosen) if chosen else env  # pyright: ignore[reportReturnType]
