"""What stands between a world and an agent. One stream; the same code runs on pure and on host worlds."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, UInt8

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Param, Space, describe
from romanesco.core.types import Env, EnvState, TimeStep
from romanesco.envs.episodes import Episodes, choose
from romanesco.envs.table import VELOCITIES

W = PyTree[Array]  # what a transform keeps between two steps


class Transform(eqx.Module):
    """One change of what is seen or done; what is not overridden passes.

    `after` must forget `w` where `ts.first`. The observation entry `allowed` is never touched.
    """

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        """-> observation and action space as the agent meets them."""
        return observation, action

    def init(self) -> W:
        return ()

    def before(self, key: Key[Array, ""], w: W, action: PyTree[Array]) -> tuple[W, PyTree[Array]]:
        """-> w, the action that goes on towards the world."""
        return w, action

    @abc.abstractmethod
    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        """-> w, the step that goes on towards the agent."""


def _apart(obs: Any) -> tuple[Any, dict[str, Any]]:
    """-> an observation (or its space) without the entry `allowed`, and that entry."""
    if not isinstance(obs, dict) or "allowed" not in obs:
        return obs, {}
    return {name: x for name, x in obs.items() if name != "allowed"}, {"allowed": obs["allowed"]}


def _seen(ts: TimeStep, obs: PyTree[Array], allowed: dict[str, Array]) -> TimeStep:
    return TimeStep({**obs, **allowed} if allowed else obs, ts.reward, ts.discount, ts.first, ts.last)


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


class NoVelocity(Transform):
    """Velocities are shown as 0: the shape stays, the state becomes hidden."""

    at: tuple[int, ...] = eqx.field(static=True)

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        obs, allowed = _apart(ts.obs)
        return w, _seen(ts, jax.tree.map(lambda x: x.at[..., np.array(self.at)].set(0), obs), allowed)


class RewardClip(Transform):
    """Rewards between -bound and bound; what metrics count is taken before it."""

    bound: Float[Array, ""]

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        reward = jnp.clip(ts.reward, -self.bound, self.bound)
        return w, TimeStep(ts.obs, reward, ts.discount, ts.first, ts.last)


class Stack(Transform):
    """The last k observations on a new leading axis, oldest first; refilled where an episode starts."""

    k: int = eqx.field(static=True)
    blank: PyTree[Array]  # one observation of zeros

    @staticmethod
    def of(k: int, observation: Space) -> "Stack":
        if k < 1:
            raise BadInput(f"stack={k}: at least 1")
        return Stack(k, jax.tree.map(lambda space: jnp.zeros(space.shape, space.dtype), _apart(observation)[0]))

    def spaces(self, observation: Space, action: Space) -> tuple[Space, Space]:
        rest, allowed = _apart(observation)
        stacked = jax.tree.map(self._stacked, rest)
        return ({**stacked, **allowed} if allowed else stacked), action

    def _stacked(self, space: Space) -> Space:
        match space:
            case Box():
                return Box((self.k, *space.shape), space.dtype, space.low, space.high)
            case Discrete(start=0):
                return MultiDiscrete((space.n,) * self.k)
            case MultiDiscrete():
                return MultiDiscrete((space.nvec,) * self.k)
        raise BadInput(f"stack: cannot stack {describe(space)}; supported are Box, MultiDiscrete and Discrete from 0")

    def init(self) -> W:
        return jax.tree.map(lambda x: jnp.zeros((self.k, *x.shape), x.dtype), self.blank)

    def after(self, key: Key[Array, ""], w: W, ts: TimeStep) -> tuple[W, TimeStep]:
        obs, allowed = _apart(ts.obs)
        full = jax.tree.map(lambda old, x: jnp.broadcast_to(x, old.shape), w, obs)
        moved = jax.tree.map(lambda old, x: jnp.concatenate([old[1:], x[None]]), w, obs)
        w = choose(ts.first, full, moved)
        return w, _seen(ts, w, allowed)


def spaces(transforms: tuple[Transform, ...], observation: Space, action: Space) -> tuple[Space, Space]:
    """-> observation and action space as an agent meets them behind the transforms."""
    for transform in transforms:
        observation, action = transform.spaces(observation, action)
    return observation, action


def before(
    transforms: tuple[Transform, ...], key: Key[Array, ""], ws: tuple[W, ...], action: PyTree[Array]
) -> tuple[tuple[W, ...], PyTree[Array]]:
    """An action on its way from the agent to the world, of one stream."""
    kept = list(ws)
    for i, transform in reversed(tuple(enumerate(transforms))):
        kept[i], action = transform.before(jax.random.fold_in(key, i), kept[i], action)
    return tuple(kept), action


def after(
    transforms: tuple[Transform, ...], key: Key[Array, ""], ws: tuple[W, ...], ts: TimeStep
) -> tuple[tuple[W, ...], TimeStep]:
    """A step on its way from the world to the agent, of one stream."""
    kept = []
    for i, (transform, w) in enumerate(zip(transforms, ws, strict=True)):
        w, ts = transform.after(jax.random.fold_in(key, i), w, ts)
        kept.append(w)
    return tuple(kept), ts


class Wrapped(eqx.Module):
    """A world behind transforms, listed from the world outwards; its state is (the world's, one `w` each)."""

    env: Any
    transforms: tuple[Transform, ...]

    def _spaces(self) -> tuple[Space, Space]:
        return spaces(self.transforms, self.env.observation_space, self.env.action_space)

    @property
    def observation_space(self) -> Space:
        return self._spaces()[0]

    @property
    def action_space(self) -> Space:
        return self._spaces()[1]

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
        return self.env.feature_names if self.observation_space == self.env.observation_space else None

    @property
    def limit_is_terminal(self) -> bool:
        return getattr(self.env, "limit_is_terminal", False)

    @property
    def deterministic(self) -> bool:
        return getattr(self.env, "deterministic", False)

    @property
    def carries_over(self) -> bool:
        return getattr(self.env, "carries_over", False)

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

    def model(self) -> "Wrapped":
        """-> the world's model behind the same transforms, which go on shifting after a `last`."""
        return Wrapped(self.env.model(), self.transforms)


def transforms(
    observation: Space,
    action: Space,
    *,
    velocities: tuple[int, ...] = (),
    rescale_actions: bool = False,
    no_velocity: bool = False,
    stack: int = 1,
    reward_clip: float = math.inf,
) -> tuple[Transform, ...]:
    """The transforms that settings ask for over a world of these spaces, from the world outwards."""
    chosen: list[Transform] = []
    if rescale_actions:
        chosen.append(RescaleActions.to(action))
    if no_velocity:
        if not velocities:
            raise BadInput(f"no_velocity: this world declares no velocities; those that do: {', '.join(VELOCITIES)}")
        chosen.append(NoVelocity(velocities))
    if stack != 1:
        chosen.append(Stack.of(stack, observation))
    if reward_clip != math.inf:
        chosen.append(RewardClip(jnp.float32(reward_clip)))
    return tuple(chosen)


def apply(
    env: Any,
    *,
    rescale_actions: bool = False,
    no_velocity: bool = False,
    max_steps: int | None = None,
    stack: int = 1,
) -> Env:
    """A pure world under the settings `env.*`; without any, the world itself."""
    if max_steps is not None:
        if not isinstance(env, Episodes):
            raise BadInput(
                f"max_steps={max_steps}: {type(env).__name__} keeps its own clock; set its limit where it is built"
            )
        env = env.limited(max_steps)
    chosen = transforms(
        env.observation_space,
        env.action_space,
        velocities=getattr(env, "velocities", ()),
        rescale_actions=rescale_actions,
        no_velocity=no_velocity,
        stack=stack,
    )
    return Wrapped(env, chosen) if chosen else env  # pyright: ignore[reportReturnType]
