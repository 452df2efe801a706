"""The T-Maze (Bakker, 2001), as AGaLiTe plays it (subho406/agalite, src/tasks/tmaze.py)."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from romanesco.core.errors import BadInput, nearest
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes

UP, DOWN, LEFT, RIGHT = range(4)
NOT_YET = -1


class Walk(eqx.Module):
    """Where the walker is, and what it was told."""

    cell: Int[Array, ""]
    cue: Int[Array, ""]  # the right turn, UP or DOWN
    turn: Int[Array, ""]  # the chosen one, or NOT_YET
    t: Int[Array, ""]


def gray(cell: Int[Array, ""], bits: int) -> Int[Array, "bits"]:
    """Gray code, the most significant bit first."""
    return ((cell ^ (cell >> 1)) >> jnp.arange(bits - 1, -1, -1, jnp.int32)) & 1


def noise(key: Key[Array, ""], bits: int, silent: Bool[Array, ""]) -> Int[Array, "bits"]:
    """Fair bits; zeros where `silent`."""
    words = jax.random.bits(key, (-(-bits // 32),), jnp.uint32)
    drawn = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32) & 1).reshape(-1)[:bits]
    return jnp.where(silent, 0, drawn)


class TMaze(Dynamics):
    """Cells 0..L-1, a junction at L-1; a cue shown at the first step names the turn that pays there.

    Observation, float32: cue (2) [0, 1] up, [1, 0] down | Gray code of the cell, most significant bit first |
    distractors, fair bits but 0 at first. Best return: right + step_reward (L-1).
    """

    corridor_length: Int[Array, ""]
    start_distance: Int[Array, ""]
    step_reward: Float[Array, ""]
    right: Float[Array, ""]
    wrong: Float[Array, ""]
    position: str = eqx.field(static=True)
    position_bits: int = eqx.field(static=True)
    cue: str = eqx.field(static=True)
    distractors: int = eqx.field(static=True)
    horizon: int | None = eqx.field(static=True)  # what `position=countdown` counts down from

    @property
    def action_space(self) -> Discrete:
        return Discrete(4)

    @property
    def observation_space(self) -> Box:
        return Box((len(self.feature_names),), np.float32, 0.0, 1.0)

    @property
    def feature_names(self) -> tuple[str, ...]:
        code = {
            "gray": [f"code_{i}" for i in reversed(range(self.position_bits))],
            "countdown": ["time_left"],
            "none": [],
        }
        return ("cue_down", "cue_up", *code[self.position], *(f"distractor_{i}" for i in range(self.distractors)))

    @property
    def junction(self) -> Int[Array, ""]:
        return self.corridor_length - 1

    def init(self, key: Key[Array, ""]) -> Walk:
        # two raw words: `randint` would cost three threefry calls each, more than the rest of a step
        coin, word = jax.random.bits(key, (2,), jnp.uint32)
        cue = (coin & 1).astype(jnp.int32)  # UP or DOWN
        back = 1 + (word % jnp.maximum(self.start_distance, 1).astype(jnp.uint32)).astype(jnp.int32)
        cell = jnp.where(self.start_distance > 0, self.junction - back, 0)
        return Walk(cell, cue, jnp.int32(NOT_YET), jnp.int32(0))

    def transition(self, key: Key[Array, ""], s: Walk, action: Int[Array, ""]) -> tuple[Walk, Any, Any, Any]:
        there = s.cell == self.junction
        turned = there & (action <= DOWN)
        move = (action == RIGHT).astype(jnp.int32) - (action == LEFT)
        cell = jnp.where(there, s.cell, jnp.clip(s.cell + move, 0, self.junction))
        reward = jnp.where(turned, jnp.where(action == s.cue, self.right, self.wrong), self.step_reward)
        return Walk(cell, s.cue, jnp.where(turned, action, NOT_YET), s.t + 1), reward, turned, False

    def observe(self, key: Key[Array, ""], s: Walk) -> Float[Array, "F"]:
        cue = jnp.where(self._shown(s), jnp.arange(2) == 1 - s.cue, False)
        return jnp.concatenate([cue, self._place(s), noise(key, self.distractors, s.t == 0)], dtype=jnp.float32)

    def metrics(self, s: Walk) -> dict[str, Any]:
        return {"reached": s.cell == self.junction, "success": s.turn == s.cue}

    def render(self, s: Walk) -> UInt8[Array, "H W 3"]:
        """Three rows of tiles around the walker: the arms above and below, the cue where it is shown, the turn."""
        return picture(s, self.junction, self._shown(s))

    def limited(self, max_steps: int | None) -> "TMaze":
        if max_steps is None and self.position == "countdown":
            raise BadInput("max_steps=null: position=countdown counts down to a limit; set max_steps")
        return dataclasses.replace(self, horizon=max_steps)

    def _shown(self, s: Walk) -> Bool[Array, ""]:
        return (s.t == 0) | (self.cue == "always")

    def _place(self, s: Walk) -> Array:
        if self.position == "gray":
            return gray(s.cell, self.position_bits)
        left = 0.0 if self.horizon is None else (self.horizon - s.t) / self.horizon  # exactly 0 at the end
        return jnp.full((self.position == "countdown",), left, jnp.float32)


class TMazeWalk(TMaze):
    """The T-Maze without a way to lose: either action walks on, and at the junction turns; L steps an episode."""

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def transition(self, key: Key[Array, ""], s: Walk, action: Int[Array, ""]) -> tuple[Walk, Any, Any, Any]:
        there = s.cell == self.junction
        onward = jnp.where(there, action, RIGHT)
        return super().transition(key, s, onward)


def tmaze(
    *,
    corridor_length: int = 160,
    position_bits: int | None = None,
    position: str = "gray",
    start_distance: int = 0,
    cue: str = "first",
    distractors: int = 6,
    step_reward: float = -0.1,
    right: float = 4.0,
    wrong: float = -1.0,
    max_steps: int | None = None,
) -> Episodes:
    """The T-Maze as an environment.

    `position_bits` defaults to max(8, ceil(log2 L)); the reference fails beyond L = 256. `max_steps` is 1,000 unless
    given, or 2 L where that is more. `position=countdown` shows
    1 - t/max_steps in place of the code, `none` nothing. `start_distance` d > 0 starts 1..d cells before the junction,
    the reverse curriculum. `cue=always` is the fully observed twin.
    """
    return _maze(TMaze, **locals())


def tmaze_walk(
    *,
    corridor_length: int = 160,
    position_bits: int | None = None,
    position: str = "gray",
    start_distance: int = 0,
    cue: str = "first",
    distractors: int = 6,
    step_reward: float = 0.0,
    right: float = 4.0,
    wrong: float = -1.0,
    max_steps: int | None = None,
) -> Episodes:
    """Retention alone: a T-Maze in which two actions walk on alike and turn up or down at the junction.

    An episode has `corridor_length` steps, a walk without a memory turns right half of the time.
    """
    return _maze(TMazeWalk, **locals())


def _maze(
    kind: type[TMaze], *, corridor_length: int, position_bits: int | None, position: str, start_distance: int,
    cue: str, distractors: int, step_reward: float, right: float, wrong: float, max_steps: int | None,
) -> Episodes:  # fmt: skip
    for field, value, allowed in (
        ("position", position, ("gray", "countdown", "none")),
        ("cue", cue, ("first", "always")),
    ):
        if value not in allowed:
            raise BadInput(f"{field}={value}: allowed are {', '.join(allowed)}{nearest(value, allowed)}")
    if corridor_length < 2:
        raise BadInput(f"corridor_length={corridor_length}: at least 2, a start and a junction")
    bits = max(8, math.ceil(math.log2(corridor_length))) if position_bits is None else position_bits
    if position == "gray" and not 2 <= corridor_length <= 2**bits:
        raise BadInput(
            f"corridor_length={corridor_length}: position_bits={bits} tell at most {2**bits} cells apart; "
            f"set position_bits={math.ceil(math.log2(corridor_length))}"
        )
    if not 0 <= start_distance < corridor_length:
        raise BadInput(f"start_distance={start_distance}: allowed are 0..{corridor_length - 1} (corridor_length - 1)")
    if distractors < 0:
        raise BadInput(f"distractors={distractors}: at least 0")
    max_steps = max(1000, 2 * corridor_length) if max_steps is None else max_steps
    world = kind(
        corridor_length=jnp.asarray(corridor_length, jnp.int32),
        start_distance=jnp.asarray(start_distance, jnp.int32),
        step_reward=jnp.asarray(step_reward, jnp.float32),
        right=jnp.asarray(right, jnp.float32),
        wrong=jnp.asarray(wrong, jnp.float32),
        position=position,
        position_bits=bits,
        cue=cue,
        distractors=distractors,
        horizon=max_steps,
    )
    return Episodes(world.limited(max_steps), max_steps)


_TILE, _VIEW = 16, 15  # pixels a tile, tiles in view
_WALL, _FLOOR, _CUE, _RIGHT, _WRONG, _WALKER = np.array(
    [[38, 38, 46], [222, 222, 214], [242, 190, 60], [88, 168, 92], [200, 80, 72], [52, 98, 176]], np.uint8
)


def picture(s: Walk, junction: Int[Array, ""], shown: Bool[Array, ""]) -> UInt8[Array, "48 240 3"]:
    """The corridor around a walker as three rows of 15 tiles; `shown`: with the cue beside them."""
    left = jnp.clip(s.cell - _VIEW // 2, 0, jnp.maximum(junction + 1 - _VIEW, 0))
    cell, row = left + jnp.arange(_VIEW), jnp.arange(3)[:, None]  # rows: up, corridor, down
    here, cue_row, turn_row = cell == s.cell, 2 * s.cue, 2 * s.turn
    turned = s.turn != NOT_YET
    layers = (
        (jnp.where(row == 1, cell <= junction, cell == junction), _FLOOR),
        (shown & here & (row == cue_row), _CUE),
        (turned & here & (row == turn_row), jnp.where(s.turn == s.cue, _RIGHT, _WRONG)),
    )
    tiles = jnp.broadcast_to(_WALL, (3, _VIEW, 3))
    for where, color in layers:
        tiles = jnp.where(where[..., None], color, tiles)
    walker = here & (row == jnp.where(turned, turn_row, 1))
    large = lambda x: jnp.repeat(jnp.repeat(x, _TILE, 0), _TILE, 1)
    inner = jnp.abs(jnp.arange(_TILE) - (_TILE - 1) / 2) < _TILE / 4
    body = large(walker) & jnp.tile(inner[:, None] & inner, (3, _VIEW))
    return jnp.where(body[..., None], _WALKER, large(tiles)).astype(jnp.uint8)
