"""Worlds that break one law each. All look at a sound one (probe 5 or a short T-Maze) and change one thing."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from romanesco.core.types import TimeStep
from romanesco.envs import ENVS
from romanesco.envs.episodes import Episodes, choose


class Mutant(eqx.Module):
    """The sound world, until a subclass overrides `reset`, `step` or `say`."""

    env: Any = eqx.field(default_factory=lambda: ENVS["probe5"]())

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def say(self, key, state, ts: TimeStep) -> TimeStep:
        return ts

    def reset(self, key):
        state, ts = self.env.reset(key)
        return state, self.say(key, state, ts)

    def step(self, key, state, action):
        state, ts = self.env.step(key, state, action)
        return state, self.say(key, state, ts)


def short_maze() -> Episodes:
    return ENVS["tmaze"](corridor_length=4, max_steps=6)


class WrongDtype(Mutant):
    def say(self, key, state, ts):
        return dataclasses.replace(ts, obs=ts.obs.astype(jnp.float16))


class OutOfBounds(Mutant):
    def say(self, key, state, ts):
        return dataclasses.replace(ts, obs=ts.obs * 2)


class WeakTypes(Mutant):
    """Reset says a Python number where step says an array: each is another program (gymnax's MountainCar, Pendulum)."""

    def reset(self, key):
        state, ts = self.env.reset(key)
        return dataclasses.replace(state, total=jnp.asarray(0.0)), ts


class LooseReset(Mutant):
    """Its state begins as an integer and goes on as a float."""

    def reset(self, key):
        state, ts = self.env.reset(key)
        return (state, jnp.int32(0)), ts

    def step(self, key, state, action):
        inner, ts = self.env.step(key, state[0], action)
        return (inner, state[1] * jnp.float32(0.5)), ts


class WeakLeaf(Mutant):
    bonus: Any = eqx.field(default_factory=lambda: jnp.asarray(1.0))


class PaidAtFirst(Mutant):
    def say(self, key, state, ts):
        return dataclasses.replace(ts, reward=jnp.where(ts.first, 1.0, ts.reward))


class FirstOnlyOnce(Mutant):
    """Autoreset without telling."""

    def step(self, key, state, action):
        state, ts = self.env.step(key, state, action)
        return state, dataclasses.replace(ts, first=jnp.zeros_like(ts.first))


class LimitKills(Mutant):
    """A time limit told as a termination (agalite, src/agents/base_agent.py)."""

    env: Any = eqx.field(default_factory=short_maze)

    def say(self, key, state, ts):
        return dataclasses.replace(ts, discount=jnp.where(ts.last, 0.0, ts.discount))


class CutOff(Mutant):
    """Deaths told as cut-offs."""

    env: Any = eqx.field(default_factory=lambda: ENVS["tmaze"](corridor_length=2, max_steps=50))

    def say(self, key, state, ts):
        return dataclasses.replace(ts, discount=jnp.ones_like(ts.discount))


@jax.custom_batching.custom_vmap
def _alone(x):
    return x


@_alone.def_vmap
def _in_company(axis_size, in_batched, x):
    return x + 1e-3, in_batched[0]


class KnowsItsCompany(Mutant):
    def say(self, key, state, ts):
        return dataclasses.replace(ts, obs=_alone(ts.obs))


class FixedKey(Mutant):
    """One world for all (agalite, trainer_pure.py:347)."""

    def reset(self, key):
        return self.env.reset(jax.random.key(30))

    def step(self, key, state, action):
        return self.env.step(jax.random.key(30), state, action)


class ActionAtLast(Mutant):
    """The action taken at a `last` chooses the next episode."""

    def step(self, key, state, action):
        return super().step(jax.random.fold_in(key, action), state, action)


class OtherAutoreset(Mutant):
    """An autoreset from another distribution than reset."""

    def step(self, key, state, action):
        moved, ts = self.env.step(key, state, action)
        return moved, dataclasses.replace(ts, obs=jnp.where(ts.first, jnp.abs(ts.obs), ts.obs))


class Elsewhere(Mutant):
    """State in Python, behind `pure_callback` (memorax, Rejax)."""

    def say(self, key, state, ts):
        obs = jax.pure_callback(lambda x: np.asarray(x), ts.obs, ts.obs, vmap_method="sequential")
        return dataclasses.replace(ts, obs=obs)


class BakedIn(Mutant):
    """Worlds closed over instead of carried."""

    def say(self, key, state, ts):
        worlds = np.arange(300_000, dtype=np.float32)
        return dataclasses.replace(ts, reward=ts.reward + 0 * jnp.asarray(worlds)[state.t])


class NotANumber(Mutant):
    def say(self, key, state, ts):
        return dataclasses.replace(ts, reward=jnp.where(ts.last & (ts.reward < 0), jnp.nan, ts.reward))


class Eager(Episodes):
    """Says that it makes worlds for ended streams alone, and makes one for each stream at each step."""

    dynamics: Any = eqx.field(default_factory=lambda: short_maze().dynamics)
    max_steps: int | None = eqx.field(static=True, default=6)
    lazy_width: int = eqx.field(static=True, default=2)

    def _again(self, first, moved, key, s):
        return choose(first, self._begin(self.dynamics.again(key, s)), moved)


BROKEN = [
    (WrongDtype, "E1", "observation space says"),
    (OutOfBounds, "E1", "is outside"),
    (WeakTypes, "E1", "weak float32"),
    (LooseReset, "E1", "reset and step disagree"),
    (PaidAtFirst, "E2", "reward is paid at `first`"),
    (FirstOnlyOnce, "E2", r"first\[t\+1\] is not last\[t\]"),
    (LimitKills, "E2", "time limit 6 is told as a termination"),
    (CutOff, "E2", "cut off before its limit"),
    (KnowsItsCompany, "E3", "vmap against the loop"),
    (FixedKey, "E4", "all keys give one stream"),
    (ActionAtLast, "E5", "action taken at a `last` changes"),
    (OtherAutoreset, "E6", "not what `reset` gives"),
    (WeakTypes, "E7", "step was compiled 2 times"),
    (WeakLeaf, "E7", "weakly typed leaves"),
    (Elsewhere, "E8", "calls back to Python"),
    (BakedIn, "E8", "bytes of constants"),
    (NotANumber, "E9", "not finite"),
    (Eager, "E10", "worlds were made for"),
]
