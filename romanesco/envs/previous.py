"""The transform that shows what led to an observation."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space, describe
from romanesco.core.types import TimeStep
from romanesco.envs.transforms import Transform, W


class ShowPrevious(Transform):
    """Beside the observation `obs`, what led to it: `action`, one-hot (a Box as it is), and `reward`; zeros at first.

    An observation that is a dict gets the entries. The reward is the world's own, before other settings change it.
    """

    action: Space = eqx.field(static=True)
    taken: Shaped[Array, "..."]  # zeros, as an action

    @staticmethod
    def of(observation: Space, action: Space) -> "ShowPrevious":
        if isinstance(action, dict | tuple):
            raise BadInput(f"show_previous: actions {describe(action)}; supported are Discrete, MultiDiscrete and Box")
        if isinstance(observation, dict) and (taken := {"action", "reward"} & observation.keys()):
            raise BadInput(f"show_previous: the observation has an entry `{min(taken)}` already")
        return ShowPrevious(action, jnp.zeros(action.shape, action.dtype))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        box = isinstance(action, Box)
        bounds = [f(b, 0) for f, b in zip((np.minimum, np.maximum), action.bounds, strict=True)] if box else (0, 1)
        shown = Box(jax.eval_shape(self._shown, self.taken).shape, np.float32, *bounds)
        return self._beside(observation, shown, Box((1,))), action

    def _beside(self, obs: Any, action: Any, reward: Any) -> dict[str, Any]:
        entries = obs if isinstance(obs, dict) else {"obs": obs}
        return {**entries, "action": action, "reward": reward}

    def _shown(self, action: Shaped[Array, "..."]) -> Float[Array, "..."]:
        match self.action:
            case Discrete(n=n, start=start):
                return jax.nn.one_hot(action - start, n)
            case MultiDiscrete(sizes=sizes):
                parts = zip(jnp.ravel(action), sizes, strict=True)
                return jnp.concatenate([jax.nn.one_hot(x, n) for x, n in parts])
        return action.astype(jnp.float32)

    def init(self) -> W:
        return self.taken

    def before(self, key: Key[Array, ""], w: W, action: Array) -> tuple[W, Array]:
        return action, action

    def after(self, key: Key[Array, ""], w: Array, ts: TimeStep) -> tuple[W, TimeStep]:
        shown = jnp.where(ts.first, 0.0, self._shown(w))
        w = jnp.where(ts.first, self.taken, w)
        return w, dataclasses.replace(ts, obs=self._beside(ts.obs, shown, ts.reward[None]))
