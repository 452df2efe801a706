"""What a run in a pure world compiles; `lab/host.py` has the same verbs for worlds outside the program."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Sequence
from typing import Any

import jax

from romanesco.agent.evaluate import STREAMS, evaluate
from romanesco.core.clock import Clock
from romanesco.core.mesh import Seeds, deal, on
from romanesco.core.types import Env
from romanesco.lab.build import Objects, agent_maker, setup
from romanesco.lab.config import Config
from romanesco.learn import train


def room(config: Config) -> int:
    """The most updates that one chunk may hold."""
    return min(256, config.num_updates)


class Programs:
    """What a run compiles, for all its groups: made once, compiled in the background."""

    phase = "device"  # a compiled chunk cannot be split
    fresh_evaluations = False  # every evaluation plays the same episodes

    def __init__(self, config: Config, env: Env, objects: Objects, devices: Sequence[Any]):
        self.config, self.devices, self.clock = config, devices, Clock("log")
        self.setup = setup(config, env, objects)
        self.batched = devices[0].platform != "cpu"
        self.pool = concurrent.futures.ThreadPoolExecutor(max(len(devices), 2))  # compiles
        self.workers = None if self.batched else concurrent.futures.ThreadPoolExecutor(len(devices))
        self.room = room(config)
        self._make = agent_maker(config, env, objects)
        how: dict[str, Any] = {"batched": self.batched, "workers": self.workers}
        self.chunk = Seeds(functools.partial(train.chunk, self.room), donate=(1,), **how)
        self.player = Seeds(self._play, **how)
        begin = lambda key, setup: train.init(key, self._make, setup)
        self.begin = Seeds(begin, **how)
        self.like: train.State = jax.eval_shape(begin, jax.random.key(0), self.setup)

    def keys(self, seeds: Sequence[int]) -> list[jax.Array]:
        return deal([jax.random.key(seed) for seed in seeds], self.devices)

    def compile(self, seeds: Sequence[int], *, begin: bool) -> None:
        """Starts compiling what these seeds need: beginning, training, evaluating."""
        keys = self.keys(seeds)
        setups = deal([self.setup] * len(seeds), self.devices)
        devices = [self.devices[i % len(self.devices)] for i in range(len(seeds))]
        if begin:
            self.begin.compile(self.pool, keys, setups)
        states = [on(device, self.like) for device in devices]
        self.chunk.compile(self.pool, keys, states, setups, shared=(0, 0, 0))
        if self.config.eval.every:
            actors = [state.learner.actor for state in states]
            self.player.compile(self.pool, keys, [s.env for s in setups], actors, shared=(0, True))

    def ready(self) -> None:
        """Waits until training can begin."""
        self.chunk.ready()

    def take_up(self, keys: Sequence[Any], states: Sequence[train.State], resumes: int) -> list[train.State]:
        """Restored states go on where they stood."""
        del keys, resumes
        return deal(states, self.devices)

    first_bad = staticmethod(train.first_bad)

    def _play(self, key, env, actor, episodes, greedy):
        """One program for all evaluations of a run: a world may take a minute to compile."""
        most, streams = self.config.eval.most_episodes, min(STREAMS, self.config.eval.streams)
        return evaluate(key, env, actor, episodes=episodes, greedy=greedy, most=most, streams=streams)

    def close(self) -> None:
        for pool in filter(None, (self.pool, self.workers)):
            pool.shutdown(wait=False, cancel_futures=True)
