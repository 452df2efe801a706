"""All combinations of the parts of an action as one choice: a transform of actions."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from romanesco.core.actions import enter
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, Space, describe, frozen, in_form, leaves
from romanesco.core.types import TimeStep
from romanesco.envs.transforms import Transform, W

MOST = 1024  # combinations, each of which gets a logit


class FlattenActions(Transform):
    """A Discrete of all combinations, row-major: of two actions in a row, the last component differs first."""

    space: Space = eqx.field(static=True)  # of the world

    @staticmethod
    def of(observation: Space, action: Space) -> "FlattenActions":
        if any(isinstance(leaf, Box) for leaf in leaves(action)):
            raise BadInput(f"flatten_actions: the action space is {describe(action)}; a Box has no choices to combine")
        if isinstance(observation, dict) and "allowed" in observation:
            raise BadInput("flatten_actions: `allowed` speaks of single components; set flatten_actions=false")
        flat = FlattenActions(frozen(action))
        if (count := math.prod(flat.sizes)) > MOST:
            raise BadInput(f"flatten_actions: {describe(action)} has {count:,} combinations; at most {MOST:,}")
        return flat

    @property
    def sizes(self) -> tuple[int, ...]:
        """Choices of every component, in the order of the leaves."""
        parts = (leaf for leaf in leaves(self.space) if not isinstance(leaf, Box))
        return tuple(n for part in parts for n in ((part.n,) if isinstance(part, Discrete) else part.sizes))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        return observation, Discrete(math.prod(self.sizes))

    def before(self, key: Key[Array, ""], w: W, action: Int[Array, ""]) -> tuple[W, PyTree[Array]]:
        chosen = iter(jnp.unravel_index(action, self.sizes))
        parts = [
            jnp.stack([next(chosen) for _ in range(math.prod(leaf.shape))]).reshape(leaf.shape).astype(leaf.dtype)
            for leaf in leaves(self.space)
        ]
        return w, enter(self.space, in_form(self.space, parts))

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        return w, ts
