"""Invisible paths over a grid of tiles, as memory-gym 1.0.2 lays them (Pleines et al., 2023; arXiv 2309.17207)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

SIDE = 7
TILES = SIDE * SIDE  # tile (x, y) is number 7 x + y
WORDS = 28 + 2 * SIDE * (SIDE - 1)  # of a maze: 28 draws before the search, which draws once a pair of neighbors
OUTCOMES = np.repeat(np.array([4, SIDE, 100, 2, 1, 8], np.uint32), [1, 2, 16, 1, 8, WORDS - 28])
UNIT = 4096  # of a cost; sums of costs and distances that are not equal differ by 10 units or more
NEVER = np.int32(2**30)

ALL = np.arange(TILES, dtype=np.int32)
X, Y = np.divmod(ALL, SIDE)
MOVES = np.array([SIDE, -SIDE, 1, -1], np.int32)  # x+1, x-1, y+1, y-1: the order in which neighbors are looked at
BORDER = (X % (SIDE - 1) == 0) | (Y % (SIDE - 1) == 0)
INNER = np.flatnonzero((X % 5 > 0) & (Y % 5 > 0) & ~BORDER)  # columns and rows 1..4; the fifth stay free
TOUCHING = (abs(X[:, None] - X) <= 1) & (abs(Y[:, None] - Y) <= 1)


def place(tile: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """-> x, y of a tile."""
    return jax.lax.div(tile, np.int32(SIDE)), jax.lax.rem(tile, np.int32(SIDE))  # `//` and `%` compile for longer


class Maze(eqx.Module):
    """A path between two tiles on opposite sides."""

    start: Int[Array, ""]
    goal: Int[Array, ""]
    path: Bool[Array, "49"]  # both ends included


def maze(words: UInt32[Array, "112"]) -> Maze:
    """The maze that memory-gym makes of these draws, each taken modulo the number of its outcomes.

    In order: side, start, goal, the 16 inner walls (chance .33), 4 or 8 outer walls, 8 draws of them from what is
    left, each modulo how many are, costs of the search.
    """
    drawn = (words % OUTCOMES).astype(jnp.int32)
    side, here, there = drawn[:3]
    far = jnp.where(side % 2 == 0, 0, SIDE - 1)  # 0, 1: from left, right; 2, 3: from top, bottom
    across = lambda depth, along: jnp.where(side < 2, SIDE * depth + along, SIDE * along + depth)
    start, goal = across(far, here), across(SIDE - 1 - far, there)
    wall = jnp.zeros(TILES, bool).at[INNER].set(drawn[3:19] < 33)
    wall = _outer_walls(words[20:28], 4 + 4 * drawn[19], wall, start, goal)
    return Maze(start, goal, _path(wall, start, goal, 1 + drawn[28:]))


def _outer_walls(
    words: UInt32[Array, "8"],
    count: Int[Array, ""],
    wall: Bool[Array, "49"],
    start: Int[Array, ""],
    goal: Int[Array, ""],
) -> Bool[Array, "49"]:
    """-> `wall` and up to `count` tiles of the border, away from the ends, none touching a wall so far."""
    (x0, y0), (x1, y1) = place(start), place(goal)
    near = (abs(X - x0) + abs(Y - y0) <= 1) | (abs(X - x1) + abs(Y - y1) <= 1)
    left = BORDER & ~near & ~(TOUCHING & wall).any(1)

    def build(i, tiles):
        wall, left = tiles
        rank = (words[i] % jnp.maximum(left.sum(), 1).astype(jnp.uint32)).astype(jnp.int32)
        taken = left & (jnp.cumsum(left) == rank + 1)
        return wall | taken, left & ~taken

    return jax.lax.fori_loop(0, count, build, (wall, left))[0]


class _Search(eqx.Module):
    tile: Int[Array, ""]  # expanded next
    g: Int[Array, "49"]  # cost from the start
    f: Int[Array, "49"]  # and the distance to the goal, in units
    parent: Int[Array, "49"]
    stamp: Int[Array, "49"]  # when it was opened
    open: Bool[Array, "49"]
    closed: Bool[Array, "49"]
    draws: Int[Array, ""]


def _path(
    wall: Bool[Array, "49"], start: Int[Array, ""], goal: Int[Array, ""], costs: Int[Array, "84"]
) -> Bool[Array, "49"]:
    """-> the tiles of the path that memory-gym's search finds (pygame_assets.py:674-730), in which A* is bent twice.

    What is expanded is the first open tile, in the order of opening, that is cheaper than the oldest one, else the
    oldest; and a cheaper way to an open tile changes its parent, not its cost. There always is a path: inner and
    outer walls never touch, so a walk along the border gets around each of them.
    """
    x, y = place(goal)
    squared = jnp.square(X - x) + jnp.square(Y - y)
    h = jnp.round(UNIT * jnp.sqrt(squared.astype(jnp.float32))).astype(jnp.int32)
    costs = jnp.pad(costs, (0, 4))  # a slice of 4 never reaches beyond

    def expand(s: _Search) -> _Search:
        x, y = place(s.tile)
        inside = jnp.array([x < SIDE - 1, x > 0, y < SIDE - 1, y > 0])
        closed = s.closed | (s.tile == ALL)
        seen = inside[:, None] & ((s.tile + MOVES)[:, None] == ALL) & ~wall & ~closed  # [4 49]
        drawn = jnp.cumsum(seen.any(1), dtype=jnp.int32)
        at = jnp.where(seen, drawn[:, None] - 1, 0).sum(0, dtype=jnp.int32)
        cost = jax.lax.dynamic_slice(costs, (s.draws,), (4,))
        here = jnp.where(s.tile == ALL, s.g, 0).sum(dtype=jnp.int32)
        g = here + jnp.where(at == jnp.arange(4)[:, None], cost[:, None], 0).sum(0, dtype=jnp.int32)
        looked = seen.any(0)
        new, cheaper = looked & ~s.open, looked & s.open & (g < s.g)
        g, stamp = jnp.where(new, g, s.g), jnp.where(new, s.draws + at, s.stamp)
        f = jnp.where(new, UNIT * g + h, s.f)
        parent = jnp.where(new | cheaper, s.tile, s.parent)
        opened = (s.open | new) & ~closed
        return _Search(_cheaper(opened, f, stamp), g, f, parent, stamp, opened, closed, s.draws + drawn[-1])

    zeros, no = jnp.zeros(TILES, jnp.int32), jnp.zeros(TILES, bool)
    begun = _Search(start, zeros, zeros, zeros, zeros, no, no, jnp.int32(0))
    parent = jax.lax.while_loop(lambda s: s.tile != goal, expand, begun).parent

    def back(walk):
        tile, path = walk
        return jnp.where(tile == ALL, parent, 0).sum(dtype=jnp.int32), path | (tile == ALL)

    return jax.lax.while_loop(lambda walk: walk[0] != start, back, (goal, no))[1] | (start == ALL)


def _cheaper(opened: Bool[Array, "49"], f: Int[Array, "49"], stamp: Int[Array, "49"]) -> Int[Array, ""]:
    """-> the first open tile that is cheaper than the oldest, else the oldest."""
    age = jnp.where(opened, 64 * stamp + ALL, NEVER)
    oldest = age.min()
    limit = jnp.where(age == oldest, f, 0).sum(dtype=jnp.int32)
    first = jnp.where(f < limit, age, NEVER).min()
    return jnp.where(first < NEVER, first, oldest) & 63
