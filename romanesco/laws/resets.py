"""Law E10: what a reset makes, and for whom."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from romanesco.agent.uniform import random_action
from romanesco.core.types import Env
from romanesco.envs.episodes import Altered, Dynamics
from romanesco.laws.verdict import require


class Counted(Altered):
    """Another dynamics; `note` is called whenever the state after an episode is made."""

    dynamics: Dynamics
    note: Callable = eqx.field(static=True)

    def again(self, key, s) -> Any:
        jax.debug.callback(self.note, jax.random.key_data(key))
        return self.dynamics.again(key, s)


def e10_lazy(env: Env) -> None:
    """E10: where resets are lazy, worlds are made for ended streams alone, and what fills up a round."""
    episodes: Any = getattr(env, "env", env)
    width = getattr(episodes, "lazy_width", 0)
    if not width:
        return
    B, T = 2 * width + 1, min((env.max_steps or 0) + 8, 200)
    made = []
    world = dataclasses.replace(episodes, dynamics=Counted(episodes.dynamics, made.append))

    @jax.jit
    def ends(world, key):
        def tick(states, t):
            k_act, k_world = jax.random.split(jax.random.fold_in(key, t))
            actions = jax.vmap(lambda key: random_action(key, env.action_space))(jax.random.split(k_act, B))
            states, ts = jax.vmap(world.step)(jax.random.split(k_world, B), states, actions)
            return states, ts.first.sum()

        return jax.lax.scan(tick, jax.vmap(world.reset)(jax.random.split(key, B))[0], jnp.arange(T))[1]

    ended = ends(world, jax.random.key(10))
    jax.effects_barrier()
    allowed = int((-(-ended // width) * width).sum())
    require(ended.sum() > 0 or (env.max_steps or T) >= T, "E10: no episode ended, so nothing is shown")
    require(len(made) >= ended.sum(), f"E10: {int(ended.sum())} episodes ended, but only {len(made)} worlds were made")
    require(
        len(made) <= allowed,
        f"E10: {len(made)} worlds were made for {int(ended.sum())} ended episodes of {B} streams; {allowed} fill "
        f"rounds of {width}",
    )
