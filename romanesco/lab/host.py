"""The programs of runs whose world lies outside the program: the same verbs as `lab/programs.py`'s `Programs`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from romanesco.agent.agent import blank
from romanesco.agent.host import STREAMS, begin, collect_host, compiled, evaluate_host
from romanesco.agent.rollout import Streams
from romanesco.core.clock import Clock
from romanesco.core.mesh import deal
from romanesco.core.types import HostEnv, Rollout, TimeStep
from romanesco.envs.world import World
from romanesco.lab.build import Objects, agent_maker, setup
from romanesco.lab.config import Config
from romanesco.lab.programs import room
from romanesco.learn import train

RESUMED = 2  # what a seed's key is folded with for episodes that begin after a resume


class HostPrograms:
    """What a run on the host needs: one set of streams a seed, and programs for what happens between two steps."""

    batched = False
    phase = "log"  # what of a chunk its own clock does not name
    fresh_evaluations = True  # the n-th evaluation is the same for all agents; a world's few seeds judge none twice

    def __init__(self, config: Config, world: World, objects: Objects, devices: Sequence[Any]):
        self.config, self.devices, self.clock = config, devices[:1], Clock("log")
        self.setup = setup(config, world, objects)
        self.world, self.room = world, room(config)
        make = agent_maker(config, world, objects)
        self._learner = jax.jit(lambda key, setup: train.init_learner(key, make, setup))
        self.like: train.State = jax.eval_shape(self._blank, jax.random.key(0))
        self._envs: dict[bytes, HostEnv] = {}
        self._judge: HostEnv | None = None
        self._bad: dict[bytes, Rollout] = {}  # the rollout of a seed's update that was not finite

    def _blank(self, key: jax.Array) -> train.State:
        """A state of the right shapes, before any environment is made."""
        learner = self._learner(key, self.setup)
        n = self.config.num_envs
        many = lambda tree: jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *jnp.shape(x))), tree)
        obs = jax.tree.map(lambda x: jnp.zeros((n, *x.shape), x.dtype), blank(self.world.observation_space))
        zero, no = jnp.zeros(n, jnp.float32), jnp.zeros(n, bool)
        streams = Streams(many(self.world.init()), many(learner.actor.init_carry()), TimeStep(obs, zero, zero, no, no))
        return train.at_first(learner, streams)

    def keys(self, seeds: Sequence[int]) -> list[jax.Array]:
        return deal([jax.random.key(seed) for seed in seeds], self.devices)

    def compile(self, seeds: Sequence[int], *, begin: bool) -> None:
        """Nothing ahead of time: programs are compiled when the first streams are there."""

    def ready(self) -> None:
        """As `compile`."""

    def _env(self, key: jax.Array) -> HostEnv:
        name = np.asarray(jax.random.key_data(key)).tobytes()
        if name not in self._envs:
            self._envs[name] = self.world.streams(self.config.num_envs)
        return self._envs[name]

    def begin(self, keys: Sequence[jax.Array], setups: Sequence[train.Setup]) -> list[train.State]:
        states = []
        for key, told in zip(keys, setups, strict=True):
            k_agent, k_start = train.begin_keys(key)
            learner = self._learner(k_agent, told)
            states.append(train.at_first(learner, begin(k_start, told.env, self._env(key), learner.actor)))
        return deal(states, self.devices)  # where later states lie too, or programs are compiled twice

    def take_up(self, keys: Sequence[jax.Array], states: Sequence[train.State], resumes: int) -> list[train.State]:
        """Restored states with fresh episodes: environments cannot be put back to where they stood."""
        taken = []
        for key, state in zip(keys, states, strict=True):
            k_start = jax.random.fold_in(jax.random.fold_in(key, RESUMED), resumes)
            fresh = train.at_first(state.learner, begin(k_start, self.world, self._env(key), state.learner.actor))
            taken.append(train.State(state.learner, fresh.streams, fresh.returns, state.failed))
        return deal(taken, self.devices)

    def chunk(
        self, keys: Sequence[jax.Array], states: Sequence[train.State], setups: Sequence[train.Setup],
        *, shared: tuple[int, int, int],
    ) -> list[tuple[train.State, dict[str, np.ndarray]]]:  # fmt: skip
        """Updates first, ..., first + count - 1 of each seed -> states and metrics [count]."""
        return [self._updates(*seed, *shared) for seed in zip(keys, states, setups, strict=True)]

    def _updates(self, key, state, told: train.Setup, first: int, count: int, total: int):
        env, rows = self._env(key), []
        for number in range(first, first + count):
            k_collect, _ = train.update_keys(key, number)
            actor = state.learner.actor
            streams, rollout, ended = collect_host(k_collect, told.env, env, actor, state.streams, told.horizon,
                                                   self.clock)  # fmt: skip
            with self.clock("learn"):
                state, metrics = jax.block_until_ready(
                    compiled(train.learn, key, state, told, np.int32(number), np.int32(total), streams, rollout)
                )
            rows.append({**jax.device_get(metrics), **_episodes(ended, rollout)})
            if int(state.failed) >= 0:
                self._bad[np.asarray(jax.random.key_data(key)).tobytes()] = rollout
                rows += [rows[-1]] * (first + count - 1 - number)
                break
        names = {name: None for row in rows for name in row}
        return state, {name: np.array([row.get(name, 0.0) for row in rows]) for name in names}

    def first_bad(self, key, state: train.State, told: train.Setup, number: int, total: int):
        rollout = self._bad[np.asarray(jax.random.key_data(key)).tobytes()]
        return train.first_bad(key, state, told, number, total, rollout)

    def player(self, keys, envs, actors, *, shared: tuple[int, bool]) -> list[dict[str, np.ndarray]]:
        """Plays so many episodes of each actor, greedy or not, on streams of their own."""
        self._judge = self._judge or self.world.judged(min(STREAMS, self.config.eval.streams))
        told = dict(zip(("episodes", "greedy"), shared, strict=True))
        judge = functools.partial(evaluate_host, world=self.world, env=self._judge, **told)
        return [judge(key, actor=actor) for key, actor in zip(keys, actors, strict=True)]

    def close(self) -> None:
        for env in [*self._envs.values(), *([self._judge] if self._judge else [])]:
            env.close()


def _episodes(ended: dict[str, np.ndarray], rollout: Rollout) -> dict[str, Any]:
    """The episodes of a rollout, as the device path counts them."""
    known = {f"sum/{name}": float(np.nansum(x)) for name, x in ended.items()} or {"sum/return": 0.0, "sum/length": 0.0}
    count = len(ended.get("return", ()))
    return {"episodes": float(count), "idle": float(np.asarray(rollout.steps.last)[:-1].sum()), **known}
