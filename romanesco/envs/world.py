"""A world on the host as programs see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Key, PyTree

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Param, Space, frozen
from romanesco.core.types import HostEnv, TimeStep
from romanesco.envs import transforms
from romanesco.envs.settings import transforms_of
from romanesco.envs.transforms import Transform


class World(eqx.Module):
    """A host world as programs see it: what it says of itself, and the transforms around it.

    `streams(n)` makes n streams of the world itself, without the transforms; `judged(n)` those that evaluations play.
    """

    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    max_steps: int | None = eqx.field(static=True)
    threshold: float | None = eqx.field(static=True)
    feature_names: tuple[str, ...] | None = eqx.field(static=True)
    streams: Callable[[int], HostEnv] = eqx.field(static=True)
    judged: Callable[[int], HostEnv] = eqx.field(static=True)
    transforms: tuple[Transform, ...] = ()

    params: dict[str, Param] = eqx.field(static=True, default_factory=dict)

    @staticmethod
    def of(
        streams: Callable[[int], HostEnv],
        num_envs: int = 1,
        *,
        judged: Callable[[int], HostEnv] | None = None,
        max_steps: int | None = None,
        threshold: float | None = None,
        feature_names: tuple[str, ...] | None = None,
        params: dict[str, Param] | None = None,
        **settings: Any,
    ) -> World:
        """The world that `streams` makes; `settings` are those of `transforms_of`. The first `num_envs` streams are
        made now, to learn the spaces, and handed out when they are asked for. `judged`: other streams for evaluations.
        """
        made = [streams(num_envs)]
        take = lambda n: made.pop() if made and made[0].num_envs == n else streams(n)
        spaces = made[0].observation_space, made[0].action_space
        chosen = transforms_of(*spaces, **settings)
        seen = transforms.spaces(chosen, *spaces)
        names = feature_names if transforms.alike(spaces[0], seen[0]) else None
        told = max_steps, threshold, names, take, judged or take, chosen, params or {}
        return World(frozen(seen[0]), frozen(seen[1]), *told)

    @staticmethod
    def shown(observation: Space, action: Space, refusal: str) -> World:
        """Only the spaces of a world that is not at hand; asking for its streams raises `BadInput` with `refusal`."""

        def streams(n: int) -> HostEnv:
            raise BadInput(refusal)

        return World(frozen(observation), frozen(action), None, None, None, streams, streams)

    def init(self) -> tuple[Any, ...]:
        """What the transforms of one stream keep."""
        return tuple(t.init() for t in self.transforms)

    def before(self, key: Key[Array, ""], ws: tuple, action: PyTree[Array]) -> tuple[tuple, PyTree[Array]]:
        """An action of one stream on its way to the world."""
        return transforms.before(self.transforms, key, ws, action)

    def after(self, key: Key[Array, ""], ws: tuple, ts: TimeStep) -> tuple[tuple, TimeStep]:
        """A step of one stream on its way to the agent."""
        return transforms.after(self.transforms, key, ws, ts)
