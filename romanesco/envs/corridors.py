"""Corridor after corridor: a T-Maze whose cue must be replaced (after arXiv 2601.15086; the rewards are ours)."""

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
from romanesco.envs.tmaze import DOWN, NOT_YET, Walk, gray, noise, picture

FORWARD = 2  # beside UP and DOWN


class Corridor(eqx.Module):
    """Where the walker is in which corridor."""

    cell: Int[Array, ""]
    length: Int[Array, ""]  # of this corridor
    cue: Int[Array, ""]  # its right turn
    solved: Int[Array, ""]  # corridors before it
    wrong: Int[Array, ""]  # the wrong turn that ended the episode, or NOT_YET
    t: Int[Array, ""]


class TMazeEndless(Dynamics):
    """A right turn pays 1 and leads to the next corridor, whose cue is seen at its first cell; a wrong one ends all.

    Observation, float32: cue (2) [0, 1] up, [1, 0] down | Gray code of the cell | whether this is the junction |
    distractors, fair bits but 0 at first. Actions: up, down, forward.
    """

    corridor_length: Int[Array, ""]
    corridors: Int[Array, ""]  # 0: without end
    step_reward: Float[Array, ""]
    bits: int = eqx.field(static=True)
    lengths: str = eqx.field(static=True)
    cue: str = eqx.field(static=True)
    distractors: int = eqx.field(static=True)

    @property
    def action_space(self) -> Discrete:
        return Discrete(3)

    @property
    def observation_space(self) -> Box:
        return Box((len(self.feature_names),), np.float32, 0.0, 1.0)

    @property
    def feature_names(self) -> tuple[str, ...]:
        code = [f"code_{i}" for i in reversed(range(self.bits))]
        return ("cue_down", "cue_up", *code, "junction", *(f"distractor_{i}" for i in range(self.distractors)))

    def init(self, key: Key[Array, ""]) -> Corridor:
        return self._enter(key, jnp.int32(0), jnp.int32(0))

    def _enter(self, key: Key[Array, ""], solved: Int[Array, ""], t: Int[Array, ""]) -> Corridor:
        coin, word = jax.random.bits(key, (2,), jnp.uint32)
        drawn = 1 + (word % self.corridor_length.astype(jnp.uint32)).astype(jnp.int32)
        length = drawn if self.lengths == "uniform" else self.corridor_length
        return Corridor(jnp.int32(0), length, (coin & 1).astype(jnp.int32), solved, jnp.int32(NOT_YET), t)

    def transition(self, key: Key[Array, ""], s: Corridor, action: Int[Array, ""]) -> tuple[Corridor, Any, Any, Any]:
        turned = (s.cell == s.length - 1) & (action <= DOWN)
        right, wrong = turned & (action == s.cue), turned & (action != s.cue)
        cell = jnp.minimum(s.cell + (action == FORWARD), s.length - 1)
        stayed = Corridor(cell, s.length, s.cue, s.solved + right, jnp.where(wrong, action, NOT_YET), s.t + 1)
        done = right & (stayed.solved == self.corridors)
        onward = self._enter(key, stayed.solved, stayed.t)
        s = jax.tree.map(lambda new, old: jnp.where(right & ~done, new, old), onward, stayed)
        reward = jnp.where(turned, right.astype(jnp.float32), self.step_reward)
        return s, reward, wrong | done, False

    def observe(self, key: Key[Array, ""], s: Corridor) -> Float[Array, "F"]:
        cue = jnp.where(self._shown(s), jnp.arange(2) == 1 - s.cue, False)
        there = s.cell == s.length - 1
        parts = cue, gray(s.cell, self.bits), there[None], noise(key, self.distractors, s.t == 0)
        return jnp.concatenate(parts, dtype=jnp.float32)

    def _shown(self, s: Corridor) -> Bool[Array, ""]:
        return (s.cell == 0) | (self.cue == "always")

    def metrics(self, s: Corridor) -> dict[str, Any]:
        complete = (s.solved == self.corridors) | (self.corridors == 0)
        return {"corridors_solved": s.solved, "success": complete & (s.wrong == NOT_YET)}

    def render(self, s: Corridor) -> UInt8[Array, "H W 3"]:
        """The corridor around the walker, as in the T-Maze."""
        return picture(Walk(s.cell, s.cue, s.wrong, s.t), s.length - 1, self._shown(s))


def tmaze_endless(
    *,
    corridor_length: int = 160,
    corridors: int = 5,
    lengths: str = "fixed",
    cue: str = "first",
    distractors: int = 6,
    step_reward: float = -0.01,
    max_steps: int | None = None,
) -> Episodes:
    """Corridors as an environment: `corridors` right turns end an episode (0: only its limit does).

    `lengths=uniform` draws 1..corridor_length cells for each; `cue=always` is the fully observed twin. The limit,
    unless given, is 6 (corridor_length + 1) max(corridors, 5) steps.
    """
    for name, word, allowed in (("lengths", lengths, ("fixed", "uniform")), ("cue", cue, ("first", "always"))):
        if word not in allowed:
            raise BadInput(f"{name}={word}: allowed are {', '.join(allowed)}{nearest(word, allowed)}")
    for name, value, least in (
        ("corridor_length", corridor_length, 2), ("corridors", corridors, 0), ("distractors", distractors, 0)
    ):  # fmt: skip
        if value < least:
            raise BadInput(f"{name}={value}: at least {least}")
    world = TMazeEndless(
        corridor_length=jnp.asarray(corridor_length, jnp.int32),
        corridors=jnp.asarray(corridors, jnp.int32),
        step_reward=jnp.asarray(step_reward, jnp.float32),
        bits=max(8, math.ceil(math.log2(corridor_length))),
        lengths=lengths,
        cue=cue,
        distractors=distractors,
    )
    return Episodes(world, 6 * (corridor_length + 1) * max(corridors, 5) if max_steps is None else max_steps)
