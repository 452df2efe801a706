"""What a trained agent attends to while it plays."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.agent.host import begin, collect_host
from romanesco.agent.maps import Greedy, maps, token_names
from romanesco.agent.rollout import collect, start
from romanesco.core.errors import BadInput
from romanesco.envs.world import World
from romanesco.lab.load import Loaded
from romanesco.lab.options import GROUPS
from romanesco.lab.run import numerics

Watched = tuple[dict[str, Float[np.ndarray, "..."]], Bool[np.ndarray, "T B"], tuple[str, ...]]


def watch(key: Key[Array, ""], found: Loaded, seed: int, *, steps: int, episodes: int, greedy: bool) -> Watched:
    """Plays `steps` steps in each of `episodes` streams, from the start of an episode on -> the maps, where episodes
    start, the names of tokens. Raises `BadInput` where nothing attends."""
    actor: Any = found.actors[seed]
    acting: Any = Greedy(actor) if greedy else actor
    k_start, k_act = jax.random.split(key)
    with numerics(found.config):
        world: Any = found.env
        if isinstance(world, World):
            with contextlib.closing(world.streams(episodes)) as env:
                rollout = collect_host(k_act, world, env, acting, begin(k_start, world, env, acting), steps)[1]
        else:
            play = jax.jit(lambda env, actor: collect(k_act, env, actor, start(k_start, env, actor, episodes), steps))
            rollout = play(world, acting)[1]
        obs, first = jax.tree.map(lambda x: x[:-1], (rollout.steps.obs, rollout.steps.first))
        told = jax.device_get(jax.jit(maps)(actor, rollout.carry, obs, first))
    if not told:
        own = [f"{group}={getattr(found.config, group).name}" for group in ("encoder", "memory")]
        encoders, memories = (
            ", ".join(name for name, option in GROUPS[group].items() if hasattr(option, "heads"))
            for group in ("encoder", "memory")
        )
        raise BadInput(
            f"{found.path}: neither {own[0]} nor {own[1]} attends; encoders that do are {encoders}; memories {memories}"
        )
    return told, np.asarray(first), tuple(token_names(actor.agent.encoder, world.feature_names))
