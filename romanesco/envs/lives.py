"""Lives of several episodes, told as episodes."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Space
from romanesco.core.types import EnvState, TimeStep
from romanesco.envs.around import Around


class Life(eqx.Module):
    """The state of the world inside, and of the life so far."""

    inner: EnvState
    over: Bool[Array, ""]
    total: Float[Array, ""]
    steps: Int[Array, ""]


class Lives(Around):
    """A life of several episodes told as one episode, so that a memory can learn within it (RL^2; Duan et al., 2016).

    Where an episode ends inside a life, the observation entry `ended` is 1, discount stays 1 and nothing is `first`.
    A life's end is a termination: how many episodes it has is part of the task. `return` and `length` are the life's.
    """

    env: Any

    def __check_init__(self):
        if getattr(self.env, "life", 1) < 2:
            raise BadInput(
                "life_is_episode: a life of this world is one episode; grid_rooms and grid_abc have longer ones, life=n"
            )

    @property
    def observation_space(self) -> Space:
        return self._seen(self.env.observation_space, Box((1,), np.float32, 0.0, 1.0))

    @property
    def max_steps(self) -> int | None:
        limit, n = self.env.max_steps, self.env.life
        return None if limit is None else n * limit + n - 1

    @property
    def limit_is_terminal(self) -> bool:
        return True

    def _seen(self, obs: Any, ended: Any) -> dict[str, Any]:
        return {**(obs if isinstance(obs, dict) else {"obs": obs}), "ended": ended}

    def _told(self, ts: TimeStep, first: Array, last: Array) -> TimeStep:
        obs = self._seen(ts.obs, ts.last[None].astype(jnp.float32))
        return TimeStep(obs, ts.reward, 1 - last.astype(jnp.float32), first, last)

    def reset(self, key: Key[Array, ""]) -> tuple[Life, TimeStep]:
        inner, ts = self.env.reset(key)
        return Life(inner, jnp.array(False), jnp.float32(0), jnp.int32(0)), self._told(ts, ts.first, ts.last)

    def step(self, key: Key[Array, ""], state: Life, action: PyTree[Array]) -> tuple[Life, TimeStep]:
        inner, ts = self.env.step(key, state.inner, action)
        first, last = state.over, ts.last & (self.env.metrics(inner)["life_end"] > 0)
        total, steps = jnp.where(first, 0.0, state.total + ts.reward), jnp.where(first, 0, state.steps + 1)
        return Life(inner, last, total, steps), self._told(ts, first, last)

    def metrics(self, state: Life) -> dict[str, Float[Array, ""]]:
        return {**self.env.metrics(state.inner), "return": state.total, "length": state.steps.astype(jnp.float32)}

    def render(self, state: Life) -> UInt8[Array, "H W 3"]:
        return self.env.render(state.inner)

    def model(self) -> "Lives":
        """-> itself, whose episodes go on within a life."""
        return self
