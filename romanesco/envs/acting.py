"""Transforms of actions on their way to the world."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Space, describe
from romanesco.core.types import TimeStep
from romanesco.envs.episodes import choose
from romanesco.envs.transforms import Transform, W


def rest(space: Space) -> Shaped[Array, "..."]:
    """The action that stands for none: the first choice; in a Box zeros, or the bound nearest to them."""
    if isinstance(space, dict | tuple):
        raise BadInput(f"action space {describe(space)}: supported are Discrete, MultiDiscrete and Box")
    low, high = space.bounds if isinstance(space, Box) else (getattr(space, "start", 0),) * 2
    return jnp.broadcast_to(jnp.clip(jnp.zeros((), space.dtype), low, high), space.shape).astype(space.dtype)


class RescaleActions(Transform):
    """Actions in [-1, 1] that reach the world between its bounds."""

    low: Float[Array, "..."]
    high: Float[Array, "..."]

    @staticmethod
    def to(space: Space) -> "RescaleActions":
        if not isinstance(space, Box):
            raise BadInput(f"rescale_actions: the action space is {describe(space)}; only a Box can be rescaled")
        low, high = space.bounds
        for i in np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high)):
            raise BadInput(
                f"rescale_actions: action component {i} has bounds [{low.flat[i]}, {high.flat[i]}], and inf cannot be "
                "rescaled; set rescale_actions=false or bound the action"
            )
        return RescaleActions(jnp.asarray(low), jnp.asarray(high))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        return observation, Box(action.shape, action.dtype, -1.0, 1.0)  # pyright: ignore

    def before(self, key: Key[Array, ""], w: W, action: Array) -> tuple[W, Array]:
        share = (action + 1) / 2
        return w, (1 - share) * self.low + share * self.high  # exact at both ends

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        return w, ts


class Executed(eqx.Module):
    """The action that reached the world last, and whether this episode has had one."""

    action: Array
    there: Bool[Array, ""]


class Sticky(Transform):
    """With chance p the action executed last is executed again (Machado et al., 2018); not at an episode's start."""

    p: Float[Array, ""]
    rest: Shaped[Array, "..."]

    @staticmethod
    def of(p: float, action: Space) -> "Sticky":
        if not 0 <= p <= 1:
            raise BadInput(f"sticky={p}: a chance, from 0 to 1")
        return Sticky(jnp.asarray(p, jnp.float32), rest(action))

    def init(self) -> Executed:
        return Executed(self.rest, jnp.array(False))

    def before(self, key: Key[Array, ""], w: Executed, action: Array) -> tuple[Executed, Array]:
        again = w.there & (jax.random.uniform(key) < self.p)
        action = jnp.where(again, w.action, action)
        return Executed(action, jnp.array(True)), action

    def after(self, key: Key[Array, ""], w: Executed, ts: TimeStep) -> tuple[Executed, TimeStep]:
        return choose(ts.first, self.init(), w), ts


class ActionDelay(Transform):
    """Actions reach the world k steps late; an episode's first k are `rest`."""

    k: int = eqx.field(static=True)
    rest: Shaped[Array, "..."]

    @staticmethod
    def of(k: int, action: Space) -> "ActionDelay":
        if k < 1:
            raise BadInput(f"action_delay={k}: at least 0 steps")
        return ActionDelay(k, rest(action))

    def init(self) -> Shaped[Array, "k ..."]:
        return jnp.broadcast_to(self.rest, (self.k, *self.rest.shape))

    def before(self, key: Key[Array, ""], w: Shaped[Array, "k ..."], action: Array) -> tuple[Array, Array]:
        return jnp.concatenate([w[1:], action[None]]), w[0]

    def after(self, key: Key[Array, ""], w: Shaped[Array, "k ..."], ts: TimeStep) -> tuple[Array, TimeStep]:
        return jnp.where(ts.first, self.init(), w), ts
