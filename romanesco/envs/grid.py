"""A grid with walls, an agent with four moves, and objects that are taken by stepping on them."""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics

MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)], np.int32)  # up, down, left, right
_TILE = 16
_FLOOR, _WALL, _AGENT, *_KINDS = np.array(
    [[222, 222, 214], [38, 38, 46], [52, 98, 176], [242, 190, 60], [88, 168, 92], [200, 80, 72]], np.uint8
)


class Board(eqx.Module):
    """Where the agent and K objects are, which of these were taken, and what a taken one pays."""

    place: Int[Array, "2"]
    at: Int[Array, "K 2"]
    held: Bool[Array, "K"]
    worth: Float[Array, "K"]
    t: Int[Array, ""]
    lived: Int[Array, ""]  # episodes of this life before this one


class Grid(Dynamics):
    """The engine; a task says how a board is laid out, what is there at a time, and what ends an episode.

    Observation, float planes [H W C]: walls | agent | one for each kind of object that is seen | with
    `show_inventory` one for each kind, all 1 while one of it is held. `view` = n > 0: the n x n cells around the agent,
    with walls beyond the edge. With `life` = n the task keeps what it draws for n episodes.
    """

    walls: Bool[Array, "H W"]
    view: int = eqx.field(static=True)
    show_inventory: bool = eqx.field(static=True)
    life: int = eqx.field(static=True)
    action_space = Discrete(4)

    kinds: ClassVar[tuple[int, ...]]  # of each of the K objects; -1 is never seen

    def __check_init__(self):
        if self.view and (self.view < 3 or self.view % 2 == 0):
            raise BadInput(f"view={self.view}: an odd number of cells from 3 on, or 0 for the whole grid")
        if self.life < 1:
            raise BadInput(f"life={self.life}: at least 1 episode")

    @property
    def _count(self) -> int:
        return max(self.kinds) + 1

    @property
    def observation_space(self) -> Box:
        size = (self.view, self.view) if self.view else self.walls.shape
        return Box((*size, 2 + self._count * (1 + self.show_inventory)), np.float32, 0.0, 1.0)

    def there(self, s: Board) -> Bool[Array, "K"]:
        """-> which objects can be taken now."""
        return ~s.held

    def opened(self, s: Board, cell: Int[Array, "2"]) -> Bool[Array, ""]:
        """-> whether a wall lets the agent through."""
        return jnp.array(False)

    @abc.abstractmethod
    def over(self, s: Board) -> Bool[Array, ""]:
        """-> whether the episode ends in `s`."""

    def pay(self, s: Board, taken: Bool[Array, "K"]) -> Float[Array, ""]:
        """-> the reward of having taken those objects."""
        return jnp.where(taken, s.worth, 0.0).sum()

    def transition(self, key: Key[Array, ""], s: Board, action: Int[Array, ""]) -> tuple[Board, Any, Any, Any]:
        goal = jnp.clip(s.place + jnp.asarray(MOVES)[action], 0, jnp.array(self.walls.shape) - 1)
        place = jnp.where(self.walls[tuple(goal)] & ~self.opened(s, goal), s.place, goal)
        taken = self.there(s) & (s.at == place).all(-1)
        moved = dataclasses.replace(s, place=place, held=s.held | taken, t=s.t + 1)
        return moved, self.pay(moved, taken), self.over(moved), False

    def observe(self, key: Key[Array, ""], s: Board) -> Float[Array, "H W C"]:
        planes = self.planes(s)
        if self.view:
            edge = self.view // 2
            planes = jnp.pad(planes, ((edge, edge), (edge, edge), (0, 0)))
            planes = planes.at[..., 0].set(jnp.pad(planes[edge:-edge, edge:-edge, 0], edge, constant_values=1))
            planes = jax.lax.dynamic_slice(planes, (*s.place, 0), (self.view, self.view, planes.shape[-1]))
        if not self.show_inventory:
            return planes
        held = jnp.zeros(self._count).at[jnp.array(self.kinds)].max(s.held.astype(jnp.float32))
        return jnp.concatenate([planes, jnp.broadcast_to(held, (*planes.shape[:2], self._count))], -1)

    def planes(self, s: Board) -> Float[Array, "H W C"]:
        """The whole grid, without the inventory."""
        agent = jnp.zeros(self.walls.shape).at[tuple(s.place)].set(1)
        objects = jnp.zeros((*self.walls.shape, self._count))
        for i, kind in enumerate(self.kinds):
            if kind >= 0:
                here = self.there(s)[i].astype(jnp.float32)
                objects = objects.at[s.at[i, 0], s.at[i, 1], kind].max(here)
        return jnp.concatenate([self.walls[..., None], agent[..., None], objects], -1, dtype=jnp.float32)

    def again(self, key: Key[Array, ""], s: Board) -> Board:
        """A fresh board; within a life with the old one's secret."""
        fresh, old = self.init(key), s.lived + 1 < self.life
        kept = dataclasses.replace(self.keep(fresh, s), lived=s.lived + 1)
        return jax.tree.map(lambda a, b: jnp.where(old, a, b), kept, fresh)

    def keep(self, fresh: Board, s: Board) -> Board:
        """-> the fresh board with what a life keeps of the board before."""
        return fresh

    def metrics(self, s: Board) -> dict[str, Any]:
        return {"life_end": s.lived + 1 == self.life} if self.life > 1 else {}

    def render(self, s: Board) -> UInt8[Array, "H W 3"]:
        """Tiles: floor, walls, objects by kind, the agent."""
        planes = self.planes(s)
        colors = (_WALL, _AGENT, *_KINDS)
        tiles = jnp.broadcast_to(_FLOOR, (*self.walls.shape, 3))
        for i in (0, *range(2, planes.shape[-1]), 1):
            tiles = jnp.where(planes[..., i, None] > 0, colors[i], tiles)
        return jnp.repeat(jnp.repeat(tiles, _TILE, 0), _TILE, 1).astype(jnp.uint8)


def cells(key: Key[Array, ""], free: np.ndarray, count: int) -> Int[Array, "count 2"]:
    """Different cells, drawn from those that are free [H W]."""
    return jax.random.permutation(key, jnp.asarray(np.argwhere(free), jnp.int32))[:count]
