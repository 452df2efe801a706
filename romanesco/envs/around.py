"""Worlds around a pure world: behind transforms, or with every action repeated."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, UInt8

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Param, Space
from romanesco.core.types import EnvState, TimeStep
from romanesco.envs.episodes import choose
from romanesco.envs.transforms import Transform, after, alike, before, spaces


class Around(eqx.Module):
    """A world that is another one but for what is overridden."""

    env: eqx.AbstractVar[Any]

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    @property
    def max_steps(self) -> int | None:
        return self.env.max_steps

    @property
    def threshold(self) -> float | None:
        return self.env.threshold

    @property
    def params(self) -> dict[str, Param]:
        return self.env.params

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The world's, while observations keep their shape."""
        return self.env.feature_names if alike(self.env.observation_space, self.observation_space) else None

    @property
    def velocities(self) -> tuple[int, ...]:
        return getattr(self.env, "velocities", ())

    @property
    def limit_is_terminal(self) -> bool:
        return getattr(self.env, "limit_is_terminal", False)

    @property
    def deterministic(self) -> bool:
        return getattr(self.env, "deterministic", False)

    @property
    def carries_over(self) -> bool:
        return getattr(self.env, "carries_over", False)

    @abc.abstractmethod
    def reset(self, key: Key[Array, ""]) -> tuple[EnvState, TimeStep]: ...

    @abc.abstractmethod
    def step(self, key: Key[Array, ""], state: EnvState, action: PyTree[Array]) -> tuple[EnvState, TimeStep]: ...

    def metrics(self, state: EnvState) -> dict[str, Float[Array, ""]]:
        return self.env.metrics(state)

    def render(self, state: EnvState) -> UInt8[Array, "H W 3"]:
        return self.env.render(state)

    def model(self) -> "Around":
        """-> the world's model, around which stands the same."""
        return dataclasses.replace(self, env=self.env.model())


class Wrapped(Around):
    """A world behind transforms, listed from the world outwards; its state is (the world's, one `w` each).

    Its model's transforms go on shifting after a `last`.
    """

    env: Any
    transforms: tuple[Transform, ...]

    @property
    def observation_space(self) -> Space:
        return self._spaces()[0]

    @property
    def action_space(self) -> Space:
        return self._spaces()[1]

    def _spaces(self) -> tuple[Space, Space]:
        return spaces(self.transforms, self.env.observation_space, self.env.action_space)

    def reset(self, key: Key[Array, ""]) -> tuple[EnvState, TimeStep]:
        k_env, _, k_after = jax.random.split(key, 3)
        inner, ts = self.env.reset(k_env)
        ws, ts = after(self.transforms, k_after, tuple(t.init() for t in self.transforms), ts)
        return (inner, ws), ts

    def step(self, key: Key[Array, ""], state: EnvState, action: PyTree[Array]) -> tuple[EnvState, TimeStep]:
        k_env, k_before, k_after = jax.random.split(key, 3)
        ws, action = before(self.transforms, k_before, state[1], action)
        inner, ts = self.env.step(k_env, state[0], action)
        ws, ts = after(self.transforms, k_after, ws, ts)
        return (inner, ws), ts

    def metrics(self, state: EnvState) -> dict[str, Float[Array, ""]]:
        return self.env.metrics(state[0])

    def render(self, state: EnvState) -> UInt8[Array, "H W 3"]:
        return self.env.render(state[0])


class Repeat(Around):
    """Every action is done k times, or until a `last`; the rewards are summed. `length` counts the world's steps."""

    env: Any
    k: int = eqx.field(static=True)

    def __check_init__(self):
        if self.k < 1:
            raise BadInput(f"action_repeat={self.k}: at least 1")

    @property
    def max_steps(self) -> int | None:
        return repeated(self.env.max_steps, self.k)

    @property
    def life(self) -> int:
        return getattr(self.env, "life", 1)

    def reset(self, key: Key[Array, ""]) -> tuple[EnvState, TimeStep]:
        return self.env.reset(jax.random.split(key, self.k)[0])

    def step(self, key: Key[Array, ""], state: EnvState, action: PyTree[Array]) -> tuple[EnvState, TimeStep]:
        first, *others = jax.random.split(key, self.k)
        now = self.env.step(first, state, action)

        def again(now, key):
            state, ts = now
            moved, onward = self.env.step(key, state, action)
            onward = dataclasses.replace(onward, reward=ts.reward + onward.reward)
            return choose(ts.last | ts.first, now, (moved, onward)), None

        return jax.lax.scan(again, now, jnp.stack(others))[0] if others else now


def repeated(max_steps: int | None, k: int) -> int | None:
    """A limit of the world's steps in actions that last k of them."""
    return None if max_steps is None else -(-max_steps // k)
