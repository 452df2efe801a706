"""A whole run as a pure function of its key; chunks of it as one program. B streams."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from romanesco.agent.normalize import Normalizer, discounted_returns
from romanesco.agent.rollout import Streams, Tally, collect, start
from romanesco.core.types import Actor, Metrics, Rollout
from romanesco.learn import ppo
from romanesco.learn.curriculum import Course, Reverse, placed
from romanesco.learn.gae import advantages
from romanesco.learn.ppo import Aux, Hyper, Learner

WORLDS = 3  # what a seed's key is folded with for the worlds of its pool


@dataclasses.dataclass(frozen=True)
class Pooling:
    """How a seed gets a finite set of worlds of its own, and how often some of them are replaced."""

    make: Callable[[Key[Array, ""], Any], Any]  # (key, Env) -> Env
    renew: Callable[[Key[Array, ""], Any], Any]
    every: int  # updates

    def begin(self, key: Key[Array, ""], env: Any) -> Any:
        return self.make(jax.random.fold_in(jax.random.fold_in(key, WORLDS), 0), env)

    def at(self, key: Key[Array, ""], env: Any, number: Int[Array, ""]) -> Any:
        """The pool with which update `number` collects: replaced in part at every multiple of `every`."""
        fresh = functools.partial(self.renew, jax.random.fold_in(jax.random.fold_in(key, WORLDS), number))
        return jax.lax.cond((number > 0) & (number % self.every == 0), fresh, lambda env: env, env)


class Setup(eqx.Module):
    """What a run is told: the world, numbers and sizes. Shared by all its seeds."""

    env: Any  # an Env; of a world on the host only what it says of itself
    hp: Hyper
    opt: optax.GradientTransformation = eqx.field(static=True)
    num_envs: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    normalize: tuple[str, ...] = eqx.field(static=True, default=())  # of "obs", "reward"
    anneal: tuple[str, ...] = eqx.field(static=True, default=())  # of Hyper's numbers, linearly to 0
    aux: tuple[Aux, ...] = eqx.field(static=True, default=())
    update: Callable = eqx.field(static=True, default=ppo.update)  # the algorithm
    curriculum: Reverse | None = eqx.field(static=True, default=None)
    pool: Pooling | None = eqx.field(static=True, default=None)

    def world(self, course: Course | None, pooled: Any = None) -> Any:
        """The world that a seed meets where it stands in its curriculum; `pooled`: its pool, where it has one."""
        env = self.env if pooled is None else pooled
        if self.curriculum is None or course is None:
            return env
        return placed(env, course.distance(self.curriculum))


class State(eqx.Module):
    """All that a seed is made of between two updates."""

    learner: Learner
    streams: Streams
    returns: Float[Array, "B"]  # the running discounted return that reward scaling measures
    failed: Int[Array, ""]  # number of the first update with a NaN or inf, else -1: nothing after it counts
    course: Course | None = None  # where there is a curriculum
    pooled: Any = None  # the Env whose pool of worlds is the seed's own, where there is one


def begin_keys(key: Key[Array, ""]) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """-> the keys of a seed's agent and of its first episodes."""
    k_agent, k_start = jax.random.split(jax.random.fold_in(key, 0))
    return k_agent, k_start


def update_keys(key: Key[Array, ""], number: Int[Array, ""] | int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """-> the keys with which update `number` collects and learns."""
    k_collect, k_update = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, 1), number))
    return k_collect, k_update


def init_learner(key: Key[Array, ""], make_agent: Callable[[Key[Array, ""]], Actor], setup: Setup) -> Learner:
    """A fresh agent, its optimizer and its normalizer."""
    kinds = {kind: kind in setup.normalize for kind in ("obs", "reward")}
    return ppo.init(make_agent(key), setup.opt, Normalizer.of(setup.env.observation_space, **kinds))


def init(key: Key[Array, ""], make_agent: Callable[[Key[Array, ""]], Actor], setup: Setup) -> State:
    """A seed before its first update. Law L4: it depends on its own key alone."""
    k_agent, k_start = begin_keys(key)
    learner = init_learner(k_agent, make_agent, setup)
    course = None if setup.curriculum is None else Course.begin()
    pooled = None if setup.pool is None else setup.pool.begin(key, setup.env)
    streams = start(k_start, setup.world(course, pooled), learner.actor, setup.num_envs)
    return at_first(learner, streams, course, pooled)


def at_first(learner: Learner, streams: Streams, course: Course | None = None, pooled: Any = None) -> State:
    """The state of a seed that nothing has happened to."""
    state = State(learner, streams, jnp.zeros(streams.ts.reward.shape[0]), jnp.int32(-1), course, pooled)
    return jax.tree.map(lambda x: x.copy(), state)  # no two leaves share a buffer: all of them are donated


def scheduled(setup: Setup, number: Int[Array, ""], total: Int[Array, ""]) -> Hyper:
    """The hyperparameters of update `number` of `total`: annealed ones go linearly to 0."""
    left = 1.0 - number / total
    return dataclasses.replace(setup.hp, **{name: getattr(setup.hp, name) * left for name in setup.anneal})


def iterate(
    key: Key[Array, ""], state: State, setup: Setup, number: Int[Array, ""], total: Int[Array, ""]
) -> tuple[State, Metrics]:
    """One update: collect, learn, refresh the normalizer. A state that is not finite is not taken."""
    k_collect, _ = update_keys(key, number)
    pooled = None if setup.pool is None else setup.pool.at(key, state.pooled, number)
    world = setup.world(state.course, pooled)
    streams, rollout, tally = collect(k_collect, world, state.learner.actor, state.streams, setup.horizon)
    course, told = state.course, {}
    if setup.curriculum is not None and course is not None:
        told = {"train/start_distance": course.distance(setup.curriculum).astype(jnp.float32)}
        course = course.after(setup.curriculum, tally)
    state, metrics = learn(key, state, setup, number, total, streams, rollout, course, pooled)
    return state, {**metrics, **told, **_episodes(tally, rollout.steps.last)}


def learn(
    key: Key[Array, ""], state: State, setup: Setup, number: Int[Array, ""], total: Int[Array, ""],
    streams: Streams, rollout: Rollout, course: Course | None = None, pooled: Any = None,
) -> tuple[State, Metrics]:  # fmt: skip
    """What update `number` makes of a rollout that ended in `streams`, wherever it was collected."""
    hp, learner = scheduled(setup, number, total), state.learner
    returns, seen = discounted_returns(state.returns, rollout, jnp.asarray(hp.gamma))
    _, k_update = update_keys(key, number)
    learner, metrics = setup.update(k_update, learner, rollout, setup.opt, hp, aux=setup.aux)
    learner = dataclasses.replace(learner, normalizer=learner.normalizer.merge(rollout, seen))

    well = (state.failed < 0) & finite((learner, metrics, streams.ts.reward))
    failed = jnp.where((state.failed < 0) & ~well, number, state.failed).astype(jnp.int32)
    new = State(learner, streams, returns, failed, course, pooled)
    state = jax.tree.map(lambda new, old: jnp.where(well, new, old), new, dataclasses.replace(state, failed=failed))
    return state, {f"train/{k}": v for k, v in metrics.items()}


def _episodes(tally: Tally, last: Array) -> Metrics:
    sums = {f"sum/{name}": total for name, total in tally.sums.items()}
    return {"episodes": tally.episodes, "idle": last[:-1].sum().astype(jnp.float32), **sums}


def finite(tree) -> Array:
    """Whether every float in the tree is finite."""
    floats = [x for x in jax.tree.leaves(tree) if eqx.is_inexact_array(x)]
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in floats]))


def chunk(
    room: int, key: Key[Array, ""], state: State, setup: Setup, first: Int[Array, ""], count: Int[Array, ""],
    total: Int[Array, ""],
) -> tuple[State, Metrics]:  # fmt: skip
    """Updates first, ..., first + count - 1 -> state, metrics [room]; rows after `count` are zero.

    `count` is traced and an update's key depends on its number alone: a chunk's length neither compiles again nor
    reaches the numbers.
    """
    shapes = jax.eval_shape(iterate, key, state, setup, first, total)[1]
    rows = jax.tree.map(lambda m: jnp.zeros((room, *m.shape), m.dtype), shapes)

    def one(i, now):
        state, rows = now
        state, row = iterate(key, state, setup, first + i, total)
        return state, jax.tree.map(lambda rows, row: rows.at[i].set(row), rows, row)

    return jax.lax.fori_loop(0, count, one, (state, rows))


def train(
    key: Key[Array, ""], make_agent: Callable[[Key[Array, ""]], Actor], setup: Setup, num_updates: int
) -> tuple[State, Metrics]:
    """A whole run -> state, metrics [num_updates]. Batch it over keys, or over leaves of `setup`."""
    return chunk(num_updates, key, init(key, make_agent, setup), setup, 0, num_updates, num_updates)  # type: ignore[arg-type]


def first_bad(
    key: Key[Array, ""], state: State, setup: Setup, number: int, total: int, rollout: Rollout | None = None
) -> tuple[str, int, int, Rollout] | None:
    """Which tensor of update `number` is the first with a NaN or inf -> (name, how many, of how many, its rollout).

    `state` is the last good one: the bad update is run again from it, piece by piece, in the order in which numbers
    arise; where the world cannot be run again, `rollout` is what was collected. Gradients are those of the whole
    rollout as one minibatch. None if the update is finite after all.
    """
    k_collect, k_update = update_keys(key, number)
    hp, learner = scheduled(setup, jnp.int32(number), jnp.int32(total)), state.learner
    again = jax.jit(collect, static_argnums=4)
    if rollout is None:
        pooled = None if setup.pool is None else setup.pool.at(key, state.pooled, jnp.int32(number))
        rollout = again(k_collect, setup.world(state.course, pooled), learner.actor, state.streams, setup.horizon)[1]
    assert rollout is not None
    scaled = learner.normalizer.scaled(rollout)
    adv = advantages(scaled, hp.gamma, hp.lam)
    gradient = eqx.filter_jit(eqx.filter_grad(ppo.loss, has_aux=True))
    grads, terms = gradient(learner.agent, learner.normalizer, scaled, adv, hp, setup.aux)
    after, _ = eqx.filter_jit(setup.update)(k_update, learner, rollout, setup.opt, hp, aux=setup.aux)
    stages = {
        "obs": rollout.steps.obs,
        "reward": rollout.steps.reward,
        "log_prob": rollout.log_prob,
        "value": rollout.value,
        "advantage": adv,
        "loss": terms,
        "gradient": grads,
        "moment": after.opt_state,
        "parameter": after.agent,
    }
    for stage, tree in stages.items():
        for path, x in jax.tree_util.tree_leaves_with_path(tree):
            if eqx.is_inexact_array(x) and (bad := int((~jnp.isfinite(x)).sum())):
                return f"{stage}{jax.tree_util.keystr(path)}", bad, x.size, rollout
    return None
