"""What stands between a world and an agent: changes of what is seen, done or paid, one stream at a time.

The same code runs on pure worlds (`around.Wrapped`) and on those of a host (`world.World`).
"""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from romanesco.core.spaces import Box, Space
from romanesco.core.types import TimeStep

W = PyTree[Array]  # what a transform keeps between two steps
UNTOUCHED = ("allowed", "context")  # entries of an observation: which actions exist, what this episode's physics is


class Transform(eqx.Module):
    """One change of what is seen, done or paid; what is not overridden passes.

    `after` must forget `w` where `ts.first`. The observation entries `allowed` and `context` are never touched.
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


def apart(obs: Any) -> tuple[Any, dict[str, Any]]:
    """-> an observation (or its space) without the entries that no transform touches, and those."""
    if not isinstance(obs, dict):
        return obs, {}
    return {k: x for k, x in obs.items() if k not in UNTOUCHED}, {k: x for k, x in obs.items() if k in UNTOUCHED}


def joined(obs: Any, kept: dict[str, Any]) -> Any:
    """What `apart` parted."""
    return {**obs, **kept} if kept else obs


def alike(one: Space, other: Space) -> bool:
    """Whether two observations have the same numbers, whatever their bounds."""
    return isinstance(one, Box) and isinstance(other, Box) and one.shape == other.shape


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
