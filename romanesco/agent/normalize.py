"""Running normalization of observations and rewards: part of what is learned, but no parameter. T time, B streams."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from romanesco.core.spaces import Space
from romanesco.core.types import Actor, Carry, Output, Rollout

LIMIT = 10.0  # normalized numbers are clipped to +/- this
EPS = 1e-8


class Moments(eqx.Module):
    """Count, mean and sum of squared deviations (Chan et al., 1983)."""

    count: Float[Array, ""]
    mean: Float[Array, "*s"]
    m2: Float[Array, "*s"]

    @staticmethod
    def zero(shape: tuple[int, ...]) -> "Moments":
        return Moments(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape))

    def merge(self, x: Float[Array, "..."], weight: Float[Array, "*n"]) -> "Moments":
        """These moments and those of the samples `x` whose weight is 1, as if taken together."""
        axes = tuple(range(weight.ndim))
        w = weight.reshape(weight.shape + (1,) * (x.ndim - weight.ndim))
        m = weight.sum()
        mean_b = (w * x).sum(axes) / jnp.maximum(m, 1)
        m2_b = (w * (x - mean_b) ** 2).sum(axes)
        count = self.count + m
        share = m / jnp.maximum(count, 1)
        d = mean_b - self.mean
        return Moments(count, self.mean + d * share, self.m2 + m2_b + d**2 * self.count * share)

    @property
    def scale(self) -> Float[Array, "*s"]:
        """sqrt(variance + 1e-8), and 1 before the first sample."""
        return jnp.where(self.count > 0, jnp.sqrt(self.m2 / jnp.maximum(self.count, 1) + EPS), 1.0)


class Normalizer(eqx.Module):
    """Frozen while a rollout is collected and learned from; `merge` after each update.

    `obs` mirrors the observation, None where an entry is not of floats; both are None where nothing is normalized.
    `reward` holds the moments of the discounted return G_t = gamma G_{t-1} + r_t (0 at `first`).
    """

    obs: PyTree[Moments | None]
    reward: Moments | None

    @staticmethod
    def of(space: Space, *, obs: bool = False, reward: bool = False) -> "Normalizer":
        def zero(space: Space):
            if isinstance(space, dict):
                return {k: zero(s) for k, s in space.items()}
            if isinstance(space, tuple):
                return tuple(map(zero, space))
            return Moments.zero(space.shape) if space.dtype.kind == "f" else None

        return Normalizer(zero(space) if obs else None, Moments.zero(()) if reward else None)

    def see(self, obs: PyTree[Array]) -> PyTree[Array]:
        """clip((x - mean) / scale, +/-10) for floats; the identity before the first sample."""

        def one(moments: Moments | None, x):
            if moments is None:
                return x
            y = jnp.clip((x - moments.mean) / moments.scale, -LIMIT, LIMIT)
            return jnp.where(moments.count > 0, y, x)

        return obs if self.obs is None else _over(one, self.obs, obs)

    def scaled(self, rollout: Rollout) -> Rollout:
        """The rollout with rewards divided by the standard deviation of G, clipped to +/-10."""
        if self.reward is None:
            return rollout
        reward = rollout.steps.reward
        scaled = jnp.clip(reward / self.reward.scale, -LIMIT, LIMIT)
        scaled = jnp.where(self.reward.count > 0, scaled, reward)
        return eqx.tree_at(lambda r: r.steps.reward, rollout, scaled)

    def merge(self, rollout: Rollout, returns: Float[Array, "T B"]) -> "Normalizer":
        """With a raw rollout: observations of steps[:-1], and `returns` where the step is no `first`."""
        steps = rollout.steps
        every = jnp.ones(steps.first[:-1].shape)

        def one(moments: Moments | None, x):
            return None if moments is None else moments.merge(x[:-1], every)

        obs = None if self.obs is None else _over(one, self.obs, steps.obs)
        reward = self.reward and self.reward.merge(returns, 1.0 - steps.first[1:])
        return Normalizer(obs, reward)


def _over(f, moments, obs):
    return jax.tree.map(f, moments, obs, is_leaf=lambda x: x is None or isinstance(x, Moments))


def discounted_returns(
    start: Float[Array, "B"], rollout: Rollout, gamma: Float[Array, ""]
) -> tuple[Float[Array, "B"], Float[Array, "T B"]]:
    """G_t = gamma G_{t-1} + r_t, 0 at `first`, over the steps arrived at -> its last value, all of them."""

    def one(g, x):
        reward, first = x
        g = jnp.where(first, 0.0, gamma * g + reward)
        return g, g

    return jax.lax.scan(one, start, (rollout.steps.reward[1:], rollout.steps.first[1:]))


class Normalized(eqx.Module):
    """An agent that sees normalized observations: what acts, is replayed, evaluated and exported."""

    normalizer: Normalizer
    agent: Actor

    def init_carry(self) -> Carry:
        return self.agent.init_carry()

    def step(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, ""]) -> tuple[Carry, Output]:
        return self.agent.step(carry, self.normalizer.see(obs), first)

    def sequence(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T"]) -> tuple[Carry, Output]:
        return self.agent.sequence(carry, self.normalizer.see(obs), first)

    def explain(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T"]):
        """As that of the agent."""
        return self.agent.explain(carry, self.normalizer.see(obs), first)  # type: ignore[attr-defined]
