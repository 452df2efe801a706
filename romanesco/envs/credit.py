"""Worlds that pay late for what was done early."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.tmaze import noise as bits


class Weather(eqx.Module):
    """Whether an umbrella will be needed, whether it is there, and the time."""

    need: Int[Array, ""]
    have: Int[Array, ""]
    t: Int[Array, ""]


class Umbrella(Dynamics):
    """The umbrella chain (Osband et al., 2020): only the first action counts, and it is paid at the end.

    Observation, float32: need | have | 1 - t / chain_length | distractors, fair bits at each step. The first action
    sets `have`. Rewards are +-noise, fair; the last is terminal where have equals need, else -terminal.
    """

    chain_length: Int[Array, ""]
    noise: Float[Array, ""]
    terminal: Float[Array, ""]
    distractors: int = eqx.field(static=True)
    action_space = Discrete(2)

    @property
    def observation_space(self) -> Box:
        return Box((3 + self.distractors,), np.float32, 0.0, 1.0)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ("need", "have", "time_left", *(f"distractor_{i}" for i in range(self.distractors)))

    def init(self, key: Key[Array, ""]) -> Weather:
        need, have = jax.random.randint(key, (2,), 0, 2, jnp.int32)
        return Weather(need, have, jnp.int32(0))

    def transition(self, key: Key[Array, ""], s: Weather, action: Int[Array, ""]) -> tuple[Weather, Any, Any, Any]:
        s = Weather(s.need, jnp.where(s.t == 0, action, s.have), s.t + 1)
        last = s.t == self.chain_length
        fair = jnp.where(jax.random.bernoulli(key), self.noise, -self.noise)
        return s, jnp.where(last, jnp.where(s.have == s.need, self.terminal, -self.terminal), fair), last, False

    def observe(self, key: Key[Array, ""], s: Weather) -> Float[Array, "F"]:
        told = jnp.stack([s.need, s.have, 1 - s.t / self.chain_length])
        return jnp.concatenate([told, bits(key, self.distractors, jnp.array(False))], dtype=jnp.float32)

    def metrics(self, s: Weather) -> dict[str, Any]:
        return {"success": s.have == s.need}


def umbrella(
    *,
    chain_length: int = 20,
    distractors: int = 0,
    noise: float = 0.5,
    terminal: float = 10.0,
    max_steps: int | None = None,
) -> Episodes:
    """The umbrella chain as an environment; bsuite's has noise = terminal = 1. An episode has `chain_length` steps."""
    for field, value, least in (("chain_length", chain_length, 1), ("distractors", distractors, 0)):
        if value < least:
            raise BadInput(f"{field}={value}: at least {least}")
    world = Umbrella(
        chain_length=jnp.asarray(chain_length, jnp.int32),
        noise=jnp.asarray(noise, jnp.float32),
        terminal=jnp.asarray(terminal, jnp.float32),
        distractors=distractors,
    )
    return Episodes(world, max_steps)
