"""The reverse curriculum: episodes begin near the goal, and further away once they succeed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from romanesco.agent.rollout import Tally
from romanesco.core.errors import BadInput

LEAF = "start_distance"  # of a world; 0: where it begins by itself


@dataclass(frozen=True)
class Reverse:
    """Episodes begin 1..d steps before the goal, d of each stage in turn; the last stage is the task as it was given.

    A stage ends, at an update, when at least `episodes` episodes have ended since it began, those included that were
    under way then, and a share of `bar` of them succeeded; if it was less, counting starts anew (after Florensa et
    al., 2017, arXiv 1707.05300).
    """

    distances: tuple[int, ...]
    bar: float = 0.9
    episodes: int = 200

    @classmethod
    def of(cls, env: Any, num_envs: int = 1) -> Reverse:
        """Distances 8, 16, 32, ... below the world's own: its `start_distance`, or where that is 0, its corridor.

        Where there are many streams, at least half of what ends a stage began in it: one episode each did not.
        """
        own, length = _find(env, LEAF), _find(env, "corridor_length")
        if own is None or length is None:
            raise BadInput(f"curriculum=reverse: this world has no {LEAF} to set; env=tmaze has, or curriculum=none")
        farthest = int(own) or int(length) - 1
        distances = (*(8 << i for i in range(20) if 8 << i < farthest), int(own))
        return cls(distances, episodes=max(cls.episodes, 2 * num_envs))


class Course(eqx.Module):
    """Where a seed stands in its curriculum."""

    stage: Int[Array, ""]
    episodes: Float[Array, ""]  # ended since the stage, or its last count, began
    successes: Float[Array, ""]

    @classmethod
    def begin(cls) -> Course:
        return cls(jnp.int32(0), jnp.float32(0), jnp.float32(0))

    def distance(self, plan: Reverse) -> Int[Array, ""]:
        return jnp.asarray(plan.distances, jnp.int32)[self.stage]

    def after(self, plan: Reverse, tally: Tally) -> Course:
        """The course after the episodes of one more update."""
        episodes, successes = self.episodes + tally.episodes, self.successes + tally.sums["success"]
        counted = episodes >= plan.episodes
        passed = counted & (successes >= plan.bar * episodes)
        stage = jnp.minimum(self.stage + passed, len(plan.distances) - 1)
        return Course(stage, jnp.where(counted, 0.0, episodes), jnp.where(counted, 0.0, successes))


def placed(env: Any, distance: Int[Array, ""]) -> Any:
    """The world, whatever is around it, with this `start_distance`."""
    return jax.tree_util.tree_map_with_path(lambda path, x: distance if _named(path, LEAF) else x, env)


def _find(env: Any, name: str) -> Any:
    leaves = jax.tree_util.tree_leaves_with_path(env)
    return next((x for path, x in leaves if _named(path, name)), None)


def _named(path: tuple, name: str) -> bool:
    return getattr(path[-1], "name", None) == name if path else False
