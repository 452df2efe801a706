"""How fast a world steps by itself, under random actions."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from romanesco.agent.uniform import random_action
from romanesco.core.types import Env
from romanesco.envs.world import World

WARM, CALLS = 2, 5
PURE, HOST = (256, 256), (16, 64)  # streams and steps of a call


class Speed(NamedTuple):
    """Steps of all streams; medians over five calls after two that are not counted."""

    streams: int
    wall: float  # steps a second
    cpu: float  # steps a second of all threads


def speed(env: Env | World) -> Speed:
    """The speed of a pure world as one compiled program of 256 streams, or of 16 streams on the host.

    Actions are drawn inside the program; on the host before the clock starts, and without transforms.
    """
    if isinstance(env, World):
        with contextlib.closing(env.streams(HOST[0])) as streams:
            return _timed(_on_host(streams), *HOST)
    return _timed(_pure(env), *PURE)


def _timed(play: Callable[[], Any], streams: int, steps: int) -> Speed:
    clocks = []
    for _ in range(WARM + CALLS):
        wall, cpu = time.perf_counter(), time.process_time()
        play()
        clocks.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = (statistics.median(row) for row in zip(*clocks[WARM:], strict=True))
    return Speed(streams, streams * steps / wall, streams * steps / max(cpu, 1e-9))


def _pure(env: Any) -> Callable[[], Any]:
    streams, steps = PURE

    @eqx.filter_jit
    def play(env, key):
        def tick(state, key):
            k_act, k_env = jax.random.split(key)
            actions = jax.vmap(lambda key: random_action(key, env.action_space))(jax.random.split(k_act, streams))
            state, ts = jax.vmap(env.step)(jax.random.split(k_env, streams), state, actions)
            return state, jax.tree.map(lambda x: x.sum(dtype=jnp.float32), ts)  # so that nothing is left out

        state, _ = jax.vmap(env.reset)(jax.random.split(key, streams))
        return jax.lax.scan(tick, state, jax.random.split(key, steps))

    return lambda: jax.block_until_ready(play(env, jax.random.key(0)))


def _on_host(streams: Any) -> Callable[[], Any]:
    count, steps = HOST
    keys = jax.random.split(jax.random.key(0), count)
    draw = jax.vmap(lambda key: random_action(key, streams.action_space))
    actions = [np.asarray(draw(jax.random.split(jax.random.key(t), count))) for t in range(steps)]
    streams.reset(keys)

    def play() -> None:
        for action in actions:
            streams.step(keys, action)

    return play
