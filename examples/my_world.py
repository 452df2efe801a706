"""A world of your own: a lamp, lit once, says at which end of a corridor the food lies."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

import romanesco as rm
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes


class Walker(eqx.Module):
    """The state: any pytree of arrays."""

    cell: Int[Array, ""]  # 0 in the middle
    food: Int[Array, ""]  # -1: at the left end, 1: at the right one
    lit: Bool[Array, ""]


class Corridor(Dynamics):
    """Cells -length..length. Observation: the lamp (-1, 1, or 0 once it is out), and the cell over `length`."""

    length: Int[Array, ""]  # an array, so that it may change without compiling again

    observation_space: ClassVar = Box((2,), np.float32, -1.0, 1.0)
    action_space: ClassVar = Discrete(2)
    feature_names: ClassVar = ("lamp", "cell")

    def init(self, key: Key[Array, ""]) -> Walker:
        return Walker(jnp.int32(0), 2 * jax.random.bernoulli(key).astype(jnp.int32) - 1, jnp.array(True))

    def transition(self, key: Key[Array, ""], s: Walker, action: Int[Array, ""]):
        cell = s.cell + 2 * action - 1
        arrived = abs(cell) >= self.length
        reward = jnp.where(arrived, jnp.sign(cell) * s.food, -0.01)
        return Walker(cell, s.food, jnp.array(False)), reward, arrived, False

    def observe(self, key: Key[Array, ""], s: Walker) -> Float[Array, "2"]:
        return jnp.stack([s.food * s.lit, s.cell / self.length])


def corridor(*, length: int = 3) -> Episodes:
    return Episodes(Corridor(jnp.int32(length)), max_steps=50)


if __name__ == "__main__":
    run = rm.train(env=corridor, memory="gru", total_steps=100_000, num_envs=16, seeds=1, name="corridor")
    print(run.results["iqm"])
