"""Mystery Path: an invisible path to be found by falling, and remembered (memory-gym 1.0.2; arXiv 2309.17207)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8
from safetensors.numpy import load_file

from romanesco.core.errors import BadInput, nearest
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.maze import ALL, SIDE, TILES, WORDS, Maze, maze, place

TILE = 12  # pixels
SIZE = SIDE * TILE
FIRST, LAST = TILE // 2, SIZE - TILE // 2  # where a center may be
LEFT, RIGHT, FORWARD = 1, 2, 3  # 0: nothing
DELTA = np.array([[0, -1], [-1, -1], [-1, 0], [-1, 1], [0, 1], [1, 1], [1, 0], [1, -1]], np.int32)  # of a heading


class Walker(eqx.Module):
    """Where the walker is, and what it has found."""

    maze: Maze
    at: Int[Array, "2"]  # its center, pixels
    heading: Int[Array, ""]  # eighths of a turn to the left; 0: up, towards smaller y
    fallen: Bool[Array, ""]  # it stands beside the path: its next action is ignored
    visited: Bool[Array, "49"]  # tiles of the path
    falls: Int[Array, ""]

    @property
    def tile(self) -> Int[Array, ""]:
        return number(self.at)


class Variant(NamedTuple):
    """How one moves. `move`: (heading, center, action) -> heading and center; action 0 stays."""

    actions: int
    turns: int  # headings
    limit: int
    progress: float  # reward of a new tile where the task is not easy
    move: Callable[[Any, Any, Any], tuple[Any, Any]]


def number(at: Int[Array, "2"]) -> Int[Array, ""]:
    """-> the tile in which a center lies."""
    x, y = jax.lax.div(at, np.int32(TILE))
    return x * SIDE + y


def center(tile: Int[Array, ""]) -> Int[Array, "2"]:
    """-> the middle of a tile, pixels."""
    return jnp.stack(place(tile)) * TILE + TILE // 2


def _by_tiles(heading, at, action):
    heading = (heading + 2 * (action == LEFT) - 2 * (action == RIGHT)) % 8
    return heading, at + jnp.where(action == FORWARD, TILE, 0) * jnp.asarray(DELTA)[heading]


def _by_pixels(heading, at, action):
    towards = jnp.stack([action // 3, action % 3])  # across, down: 0 stay, 1 minus, 2 plus
    step = (towards == 2).astype(jnp.int32) - (towards == 1)
    turned = jnp.argmax((step == DELTA).all(1))
    return jnp.where(action == 0, heading, turned), at + jnp.where((step != 0).all(), 2, 3) * step


VARIANTS = {
    "grid": Variant(4, 4, 128, 0.0, _by_tiles),
    "continuous": Variant(9, 8, 512, 0.1, _by_pixels),
}


class MysteryPath(Dynamics):
    """7 x 7 tiles and a path between opposite sides that cannot be seen; beside it one falls, back to its start.

    Grid: nothing, turn left, turn right, one tile forward. Continuous: action 3 h + v, h across and v down, each
    nothing, minus or plus: 3 pixels, or 2 along both axes. The goal pays `reward_goal` and ends, a tile of the path
    that is new in this episode `reward_path_progress`, a fall `reward_fall_off`.

    Pixels: uint8 [84 84 3] as memory-gym has it, `[x, y, color]`. Symbolic, float32: tile one-hot (49) | continuous:
    center / 84 (2) | heading one-hot | fallen | `easy`: start and goal one-hot (49 each) | `show_path`: path (49).
    """

    reward_goal: Float[Array, ""]
    reward_fall_off: Float[Array, ""]
    reward_path_progress: Float[Array, ""]
    sprites: UInt8[Array, "16 H W"]  # of `overlays`
    variant: Variant = eqx.field(static=True)
    easy: bool = eqx.field(static=True)  # start and goal are seen
    show_path: bool = eqx.field(static=True)
    obs: str = eqx.field(static=True)

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.variant.actions)

    @property
    def observation_space(self) -> Box:
        if self.obs == "pixels":
            return Box((SIZE, SIZE, 3), np.uint8, 0, 255)
        return Box((len(self.feature_names or ()),), np.float32, 0.0, 1.0)

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        if self.obs == "pixels":
            return None
        planes = [[f"{what}_{i // SIDE}_{i % SIDE}" for i in ALL] for what in ("tile", "start", "goal", "path")]
        at = ["x", "y"] if self.variant.turns == 8 else []
        headings = [f"heading_{360 // self.variant.turns * i}" for i in range(self.variant.turns)]
        shown = (planes[1] + planes[2] if self.easy else []) + (planes[3] if self.show_path else [])
        return (*planes[0], *at, *headings, "fallen", *shown)

    def init(self, key: Key[Array, ""]) -> Walker:
        return self.enter(maze(jax.random.bits(key, (WORDS,), jnp.uint32)))

    def enter(self, maze: Maze) -> Walker:
        """-> a walker at the start of this maze."""
        heading, falls = jnp.int32(0), jnp.int32(0)
        return Walker(maze, center(maze.start), heading, jnp.array(False), jnp.zeros(TILES, bool), falls)

    def transition(self, key: Key[Array, ""], s: Walker, action: Int[Array, ""]) -> tuple[Walker, Any, Any, Any]:
        heading, at = self.variant.move(s.heading, s.at, jnp.where(s.fallen, 0, action))
        at = jnp.where(s.fallen, center(s.maze.start), jnp.clip(at, FIRST, LAST))
        here = number(at) == ALL
        won = number(at) == s.maze.goal
        on = (here & s.maze.path).any()
        new = ~won & (number(at) != s.maze.start) & ~(here & s.visited).any()
        step = jnp.where(on, jnp.where(new, self.reward_path_progress, 0.0), self.reward_fall_off)
        s = Walker(s.maze, at, heading, ~on, s.visited | (here & on), s.falls + ~on)
        return s, jnp.where(won, self.reward_goal, step), won, False

    def observe(self, key: Key[Array, ""], s: Walker) -> Array:
        if self.obs == "pixels":
            return self._picture(s, marked=self.easy, path=self.show_path)
        at = [s.at / SIZE] if self.variant.turns == 8 else []
        heading = s.heading * self.variant.turns // 8 == jnp.arange(self.variant.turns)
        shown = [s.maze.start == ALL, s.maze.goal == ALL] if self.easy else []
        shown += [s.maze.path] if self.show_path else []
        return jnp.concatenate([s.tile == ALL, *at, heading, s.fallen[None], *shown], dtype=jnp.float32)

    def metrics(self, s: Walker) -> dict[str, Any]:
        return {"success": s.tile == s.maze.goal, "falls": s.falls}

    def render(self, s: Walker) -> UInt8[Array, "336 336 3"]:
        """The picture upright and four times as large, the path and its ends shown."""
        upright = self._picture(s, marked=True, path=True).swapaxes(0, 1)
        return jnp.repeat(jnp.repeat(upright, 4, 0), 4, 1)

    def _picture(self, s: Walker, *, marked: bool, path: bool) -> UInt8[Array, "84 84 3"]:
        """Black, with blue start and green goal if `marked`, the path in white if `path`; on it the walker, on it a
        red cross if it fell. Columns hold the colors of a pixel side by side."""
        row, column = np.arange(SIZE) // TILE, np.arange(3 * SIZE) // (3 * TILE)
        green, blue = (np.arange(3 * SIZE) % 3 == i for i in (1, 2))
        lit = jnp.zeros((SIZE, 3 * SIZE), bool)

        def is_tile(tile, color):
            x, y = place(tile)
            return (row == x)[:, None] & ((column == y) & color)

        if path:
            inner = s.maze.path & (s.maze.start != ALL) & (s.maze.goal != ALL)
            lit = inner.reshape(SIDE, SIDE)[row][:, column]
        if marked:
            lit = lit | is_tile(s.maze.start, blue) | is_tile(s.maze.goal, green)
        corner = (s.heading + 8 * s.fallen, LAST - s.at[0], 3 * (LAST - s.at[1]))
        sprite = jax.lax.dynamic_slice(self.sprites, corner, (1, SIZE, 3 * SIZE))[0]
        ground = jnp.where(lit, jnp.uint8(255), jnp.uint8(0))
        image = jnp.where(sprite == 0, ground, jnp.where(sprite == OPAQUE_ZERO, jnp.uint8(0), sprite))
        return image.reshape(SIZE, SIZE, 3)


OPAQUE_ZERO = 1  # in sprites, where 0 is transparent: no color of memory-gym's has this value


def overlays() -> np.ndarray:
    """-> memory-gym's walker in 8 headings, then with the cross, each in the middle of an empty field.

    uint8 [16 156 468]; the window of 84 x 252 at (78 - x, 3 (78 - y)) has the walker at (x, y).
    """
    drawn = load_file(Path(__file__).with_name("mysterypath.safetensors"))
    walker, cross = drawn["walker"], drawn["cross"]
    fallen = walker.copy()
    inner = fallen[:, 9:19, 9:19]
    inner[:] = np.where((cross > 0).any(-1, keepdims=True), np.maximum(cross, OPAQUE_ZERO), inner)
    flat = np.concatenate([walker, fallen]).reshape(16, 28, 84)
    return np.pad(flat, ((0, 0), (LAST - 14, LAST - 14), (3 * (LAST - 14), 3 * (LAST - 14))))


def mysterypath(
    *,
    variant: str = "grid",
    obs: str = "symbolic",
    easy: bool = True,
    show_path: bool = False,
    reward_goal: float = 1.0,
    reward_fall_off: float = 0.0,
    reward_path_progress: float | None = None,
    max_steps: int | None = None,
    limit_is_terminal: bool = False,
) -> Episodes:
    """Mystery Path as an environment.

    `easy` shows start and goal in every episode, `show_path` the path, in pictures without them. `reward_path_progress`
    is 0.1 unless given, but 0 in the hard grid; `max_steps` 128 in the grid, else 512. `limit_is_terminal` tells the
    limit as a termination, as memory-gym does.
    """
    for field, value, allowed in (("variant", variant, tuple(VARIANTS)), ("obs", obs, ("symbolic", "pixels"))):
        if value not in allowed:
            raise BadInput(f"{field}={value}: allowed are {', '.join(allowed)}{nearest(value, allowed)}")
    kind = VARIANTS[variant]
    if reward_path_progress is None:
        reward_path_progress = 0.1 if easy else kind.progress
    world = MysteryPath(
        reward_goal=jnp.asarray(reward_goal, jnp.float32),
        reward_fall_off=jnp.asarray(reward_fall_off, jnp.float32),
        reward_path_progress=jnp.asarray(reward_path_progress, jnp.float32),
        sprites=jnp.asarray(overlays()),
        variant=kind,
        easy=easy,
        show_path=show_path,
        obs=obs,
    )
    return Episodes(
        world, kind.limit if max_steps is None else max_steps, limit_is_terminal=limit_is_terminal, lazy_width=8
    )
