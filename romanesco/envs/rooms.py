"""Four tasks on a grid: to explore, to go by way of a key, to give credit late, and to learn within a life."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.envs.episodes import Episodes
from romanesco.envs.grid import Board, Grid, cells

_FOUR = np.zeros((11, 11), bool)
_FOUR[5], _FOUR[:, 5] = True, True
_FOUR[[2, 8, 5, 5], [5, 5, 2, 8]] = False
_TWO = np.zeros((9, 9), bool)
_TWO[:, 4] = True
_LEFT, _RIGHT = (np.indices((9, 9))[1] < 4), (np.indices((9, 9))[1] > 4)


def board(place: Array, at: Array, worth: Any) -> Board:
    """The board on which an episode, and a life, begins."""
    zero = jnp.int32(0)
    return Board(place, at, jnp.zeros(len(at), bool), jnp.asarray(worth, jnp.float32), zero, zero)


class Rooms(Grid):
    """Four rooms (Sutton, Precup and Singh, 1999), an invisible goal; finding it pays 1 and ends the episode."""

    kinds = (-1,)

    def init(self, key: Key[Array, ""]) -> Board:
        place, goal = cells(key, ~_FOUR, 2)
        return board(place, goal[None], [1.0])

    def keep(self, fresh: Board, s: Board) -> Board:
        place = jnp.where((fresh.place == s.at[0]).all(), fresh.at[0], fresh.place)  # not on the goal
        return dataclasses.replace(fresh, place=place, at=s.at)

    def over(self, s: Board) -> Bool[Array, ""]:
        return s.held[0]

    def metrics(self, s: Board) -> dict[str, Any]:
        return {**super().metrics(s), "success": s.held[0]}


class Keys(Grid):
    """A key on this side, a door in the wall that it opens, the exit behind: only the exit pays."""

    kinds = (0, 1, 2)  # key, exit, door

    def init(self, key: Key[Array, ""]) -> Board:
        k_left, k_right, k_row = jax.random.split(key, 3)
        place, found = cells(k_left, _LEFT, 2)
        door = jnp.stack([jax.random.randint(k_row, (), 0, 9, jnp.int32), jnp.int32(4)])
        return board(place, jnp.stack([found, cells(k_right, _RIGHT, 1)[0], door]), [0.0, 1.0, 0.0])

    def opened(self, s: Board, cell: Array) -> Bool[Array, ""]:
        return s.held[0] & (cell == s.at[2]).all()

    def over(self, s: Board) -> Bool[Array, ""]:
        return s.held[1]

    def metrics(self, s: Board) -> dict[str, Any]:
        return {**super().metrics(s), "key": s.held[0], "success": s.held[1]}


APPLES, TIMES = 10, (15, 75, 90)  # steps at which a room ends
_ROOM = np.array([0] + [1] * APPLES + [2])  # where the key, the apples and the door are


class KeyToDoor(Grid):
    """Three rooms that end by time (after Hung et al., 2019, arXiv 1810.06721): a key worth nothing, ten apples worth
    .1 each, a door worth 10 to whoever has taken the key."""

    kinds = tuple(int(kind) for kind in _ROOM)

    def init(self, key: Key[Array, ""]) -> Board:
        place, *at = cells(key, np.ones((7, 7), bool), 1 + len(_ROOM))
        return board(place, jnp.stack(at), np.array([0.0, 0.1, 10.0])[_ROOM])

    def there(self, s: Board) -> Bool[Array, "K"]:
        return ~s.held & (jnp.searchsorted(jnp.array(TIMES), s.t, side="right") == _ROOM)

    def pay(self, s: Board, taken: Bool[Array, "K"]) -> Float[Array, ""]:
        return super().pay(s, taken & ((_ROOM != 2) | s.held[0]))

    def over(self, s: Board) -> Bool[Array, ""]:
        return s.t == TIMES[-1]

    def metrics(self, s: Board) -> dict[str, Any]:
        return {**super().metrics(s), "key": s.held[0], "success": s.held[0] & s.held[-1]}


class Abc(Grid):
    """Three objects whose rewards are drawn for a life, U(-1, 1), U(-.5, 0) and U(0, .5); taking one ends the episode
    (after Zheng et al., 2020, arXiv 1912.05500; the numbers are ours)."""

    kinds = (0, 1, 2)

    def init(self, key: Key[Array, ""]) -> Board:
        k_cells, k_worth = jax.random.split(key)
        place, *at = cells(k_cells, np.ones((5, 5), bool), 4)
        low, high = jnp.array([-1.0, -0.5, 0.0]), jnp.array([1.0, 0.0, 0.5])
        return board(place, jnp.stack(at), jax.random.uniform(k_worth, (3,), minval=low, maxval=high))

    def keep(self, fresh: Board, s: Board) -> Board:
        return dataclasses.replace(fresh, worth=s.worth)

    def over(self, s: Board) -> Bool[Array, ""]:
        return s.held.any()


def grid_rooms(*, life: int = 1, view: int = 0, max_steps: int | None = 200) -> Episodes:
    """Four rooms; with `life` = n the goal stays for n episodes."""
    return _made(Rooms, _FOUR, max_steps, view=view, life=life)


def grid_keys(*, show_inventory: bool = False, view: int = 0, max_steps: int | None = 200) -> Episodes:
    """Key, door, exit."""
    return _made(Keys, _TWO, max_steps, view=view, show_inventory=show_inventory)


def grid_key_to_door(*, show_inventory: bool = False, view: int = 0, max_steps: int | None = None) -> Episodes:
    """Key, apples, door, in 90 steps; without the inventory it asks for memory beside credit."""
    return _made(KeyToDoor, np.zeros((7, 7), bool), max_steps, view=view, show_inventory=show_inventory)


def grid_abc(*, life: int = 50, view: int = 0, max_steps: int | None = 20) -> Episodes:
    """Good, bad and unsure; rewards stay for `life` episodes."""
    return _made(Abc, np.zeros((5, 5), bool), max_steps, view=view, life=life)


def _made(
    task: type[Grid],
    walls: np.ndarray,
    max_steps: int | None,
    *,
    view: int,
    show_inventory: bool = False,
    life: int = 1,
) -> Episodes:
    world = task(walls=jnp.asarray(walls), view=view, show_inventory=show_inventory, life=life)
    return Episodes(world, max_steps)
