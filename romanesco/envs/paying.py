"""Transforms of rewards. The metric `return` is counted underneath them, so scores stay the world's own."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from romanesco.core.errors import BadInput
from romanesco.core.types import TimeStep
from romanesco.envs.transforms import Transform, W


class Owed(eqx.Module):
    """What was earned and is not yet paid, and over how many steps."""

    reward: Float[Array, ""]
    steps: Int[Array, ""]


class RewardDelay(Transform):
    """What was earned is paid every `every` steps of the episode, and at its last."""

    every: Int[Array, ""]

    @staticmethod
    def of(every: int) -> "RewardDelay":
        if every < 1:
            raise BadInput(f"reward_delay={every}: at least 1 step")
        return RewardDelay(jnp.asarray(every, jnp.int32))

    def init(self) -> Owed:
        return Owed(jnp.float32(0), jnp.int32(0))

    def after(self, key: Key[Array, ""], w: Owed, ts: TimeStep) -> tuple[Owed, TimeStep]:
        owed, steps = jnp.where(ts.first, 0.0, w.reward + ts.reward), jnp.where(ts.first, 0, w.steps + 1)
        pay = ts.last | (steps >= self.every)
        kept = Owed(jnp.where(pay, 0.0, owed), jnp.where(pay, 0, steps))
        return kept, dataclasses.replace(ts, reward=jnp.where(pay, owed, 0.0))


class RewardScale(Transform):
    """The reward times a number."""

    scale: Float[Array, ""]

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        return w, dataclasses.replace(ts, reward=ts.reward * self.scale)


class RewardClip(Transform):
    """The reward between -bound and bound."""

    bound: Float[Array, ""]

    @staticmethod
    def to(bound: float) -> "RewardClip":
        if not bound > 0:
            raise BadInput(f"reward_clip={bound}: a bound above 0")
        return RewardClip(jnp.asarray(bound, jnp.float32))

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        return w, dataclasses.replace(ts, reward=jnp.clip(ts.reward, -self.bound, self.bound))
