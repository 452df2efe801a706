"""Physical numbers drawn anew for each episode."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, UInt8

from romanesco.core.errors import BadInput, nearest
from romanesco.core.spaces import Box, Param, Space
from romanesco.envs.episodes import Altered, Dynamics

Ranges = Mapping[str, Sequence[float]]


class Drawn(eqx.Module):
    """The numbers of this episode, and the state of the world that has them."""

    numbers: dict[str, Float[Array, ""]]
    s: PyTree


class Randomized(Altered):
    """A world whose physical numbers are drawn for each episode, uniformly from low to high; kept in the state.

    With `context` the observation is {state, context}: the draws, each scaled to [-1, 1], in the order of `names`.
    """

    dynamics: Dynamics
    low: Float[Array, "n"]
    high: Float[Array, "n"]
    names: tuple[str, ...] = eqx.field(static=True)
    context: bool = eqx.field(static=True)

    @staticmethod
    def of(dynamics: Dynamics, ranges: Ranges, *, context: bool) -> Dynamics:
        """The world itself where nothing is drawn."""
        if not ranges:
            return dynamics
        low, high = (jnp.asarray([bounds[i] for bounds in ranges.values()], jnp.float32) for i in (0, 1))
        return Randomized(dynamics, low, high, tuple(ranges), context)

    @property
    def observation_space(self) -> Space:
        return self._seen(self.dynamics.observation_space, Box((len(self.names),), np.float32, -1.0, 1.0))

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        names = self.dynamics.feature_names
        return (*self.names, *names) if self.context and names else names

    def _seen(self, state: Any, context: Any) -> Any:
        return {"state": state, "context": context} if self.context else state

    def init(self, key: Key[Array, ""]) -> Drawn:
        k_draw, k_init = jax.random.split(key)
        x = self.low + jax.random.uniform(k_draw, self.low.shape) * (self.high - self.low)
        numbers = {name: x[i] for i, name in enumerate(self.names)}
        return Drawn(numbers, self.dynamics.at(numbers).init(k_init))

    def transition(self, key: Key[Array, ""], s: Drawn, action: PyTree[Array]) -> tuple[Drawn, Any, Any, Any]:
        inner, reward, terminated, truncated = self.dynamics.at(s.numbers).transition(key, s.s, action)
        return Drawn(s.numbers, inner), reward, terminated, truncated

    def observe(self, key: Key[Array, ""], s: Drawn) -> PyTree[Array]:
        x, width = jnp.stack([s.numbers[name] for name in self.names]), self.high - self.low
        share = jnp.where(width > 0, (x - self.low) / jnp.where(width > 0, width, 1), 0.5)
        return self._seen(self.dynamics.at(s.numbers).observe(key, s.s), jnp.clip(2 * share - 1, -1, 1))

    def metrics(self, s: Drawn) -> dict[str, Any]:
        return self.dynamics.metrics(s.s)

    def render(self, s: Drawn) -> UInt8[Array, "H W 3"]:
        return self.dynamics.at(s.numbers).render(s.s)


def check(ranges: Ranges, params: Mapping[str, Param], context: bool) -> None:
    """Raises `BadInput` unless every range is [low, high] of a parameter that there is, and `context` has some."""
    if context and not ranges:
        raise BadInput("context=true: nothing is drawn; give a range, such as randomize.NAME=[low,high]")
    for name, bounds in ranges.items():
        if name not in params:
            known = ", ".join(params)
            raise BadInput(f"randomize.{name}: no such parameter{nearest(name, params) or ';'} known: {known}")
        if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] > bounds[1]:
            usual = f"{params[name].low:g},{params[name].high:g}"
            raise BadInput(f"randomize.{name}={list(bounds)}: give [low,high], low at most high, such as [{usual}]")
