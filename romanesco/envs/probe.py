"""Probes: worlds so small that a failure names the broken half of a learner (law L3; after Andy Jones, 2021).

Observations are one number. Each docstring says what must be learned; V is the value of an observation.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, Space
from romanesco.envs.episodes import Dynamics, Episodes

LIMIT = 5  # steps of probe 7


class Hidden(eqx.Module):
    """A number drawn at the start, and the time."""

    x: Float[Array, ""]
    t: Int[Array, ""]


class Probe(Dynamics):
    """A world that is three formulas; it terminates after `steps` steps (0: never)."""

    draw: Callable[[Key[Array, ""]], Any] = eqx.field(static=True)
    show: Callable[[Array, Array], Any] = eqx.field(static=True)  # (x, t) -> observation
    pay: Callable[[Array, Array, Array], Any] = eqx.field(static=True)  # (x, t, action at t) -> reward
    steps: int = eqx.field(static=True, default=1)
    action_space: Space = eqx.field(static=True, kw_only=True, default=Discrete(1))

    @property
    def observation_space(self) -> Box:
        return Box((1,), np.float32, -1.0, 1.0)

    @property
    def deterministic(self) -> bool:
        return self.draw is _zero

    def init(self, key: Key[Array, ""]) -> Hidden:
        return Hidden(jnp.asarray(self.draw(key), jnp.float32), jnp.int32(0))

    def transition(self, key: Key[Array, ""], s: Hidden, action: Array) -> tuple[Hidden, Any, Any, Any]:
        t = s.t + 1
        return Hidden(s.x, t), self.pay(s.x, s.t, action), t == self.steps, False

    def observe(self, key: Key[Array, ""], s: Hidden) -> Float[Array, "1"]:
        return jnp.asarray(self.show(s.x, s.t), jnp.float32)[None]


def _zero(key):
    return 0.0


def _sign(key):
    return jnp.where(jax.random.bernoulli(key), 1.0, -1.0)


def _uniform(key):
    return jax.random.uniform(key, (), jnp.float32, -1.0, 1.0)


def _see(x, t):
    return x


def _see_once(x, t):
    return jnp.where(t == 0, x, 0.0)


def _see_time(x, t):
    return jnp.minimum(t, 1)


def _see_time_left(x, t):
    return (LIMIT - t) / LIMIT


def _one(x, t, action):
    return 1.0


def _x(x, t, action):
    return x


def _late(x, t, action):
    return t == 1


def _zero_is_good(x, t, action):
    return 1 - 2 * action


def _names_sign(x, t, action):
    return x * (2 * action - 1)


def _names_sign_late(x, t, action):
    return jnp.where(t == 1, _names_sign(x, t, action), 0.0)


def _distance(x, t, action):
    return -jnp.square(action[0] - x)


def probe1() -> Episodes:
    """One action, one step, reward 1. V = 1."""
    return Episodes(Probe(_zero, _see, _one))


def probe2() -> Episodes:
    """Observation +1 or -1, reward the same, one step. V = obs."""
    return Episodes(Probe(_sign, _see, _x))


def probe3() -> Episodes:
    """Observations 0, 1; rewards 0, 1. V(0) = gamma, V(1) = 1."""
    return Episodes(Probe(_zero, _see_time, _late, steps=2))


def probe4() -> Episodes:
    """Two actions that pay +1 and -1, one step. Action 0; V = 1."""
    return Episodes(Probe(_zero, _see, _zero_is_good, action_space=Discrete(2)))


def probe5() -> Episodes:
    """Observation +1 or -1, one step: +1 if the action names the sign (1 for +1, 0 for -1), else -1. V = 1."""
    return Episodes(Probe(_sign, _see, _names_sign, action_space=Discrete(2)))


def probe6() -> Episodes:
    """Observation +1 or -1, then 0, where the action must name the first (1 for +1, 0 for -1). V = gamma, then 1.

    Without a memory the return is 0 on average.
    """
    return Episodes(Probe(_sign, _see_once, _names_sign_late, steps=2, action_space=Discrete(2)))


def probe7(*, terminal: bool = False) -> Episodes:
    """Observation 0, reward 1, a time limit of 5, which is a truncation. V = 1/(1-gamma).

    `terminal`: the limit ends the world, and the observation is k/5, k steps left. V = (1-gamma^k)/(1-gamma).
    """
    show = _see_time_left if terminal else _see
    return Episodes(Probe(_zero, show, _one, steps=0), LIMIT, limit_is_terminal=terminal)


def probe8(*, bound: float = 2.0) -> Episodes:
    """Observation uniform in [-1, 1], one step, a Box action in [-bound, bound], reward -(a - obs)^2. a = obs; V = 0.

    A narrow bound makes most samples of a fresh policy leave it.
    """
    if not 0 < bound < float("inf"):
        raise BadInput(f"bound={bound}: a positive number")
    return Episodes(Probe(_uniform, _see, _distance, action_space=Box((1,), np.float32, -bound, bound)))
