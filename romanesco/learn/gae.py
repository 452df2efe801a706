"""Advantages. T time, B streams."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from romanesco.core.types import Rollout


def advantages(rollout: Rollout, gamma: Float[Array, ""] | float, lam: Float[Array, ""] | float) -> Float[Array, "T B"]:
    """Generalized advantage estimation (Schulman et al., 2016, eq. 16).

    A_t = r_{t+1} + gamma d_{t+1} V_{t+1} - V_t + gamma d_{t+1} lam A_{t+1}, and 0 where step t is a `last`: the action
    taken there is ignored, and nothing passes on. A truncation keeps d = 1 and so bootstraps with the value of its
    own final observation. Values are the recorded ones: no parameter reaches here, rewards may carry gradients.
    """
    live = 1.0 - rollout.steps.last[:-1]
    discount = gamma * rollout.steps.discount[1:]
    delta = rollout.steps.reward[1:] + discount * rollout.value[1:] - rollout.value[:-1]

    def backward(adv, x):
        live, discount, delta = x
        adv = live * (delta + discount * lam * adv)
        return adv, adv

    return jax.lax.scan(backward, jnp.zeros_like(delta[0]), (live, discount, delta), reverse=True)[1]
