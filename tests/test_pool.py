"""Pools of worlds: what they draw, what a refresh replaces, and that a run with one is exact in any chunking."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.pool import memory, pooled, refreshed
from romanesco.envs.settings import apply
from romanesco.lab.build import _pooling
from romanesco.laws.environment import LAWS
from romanesco.learn import ppo, train

OPT = ppo.optimizer()


class Drawn(Dynamics):
    """Shows the number that its world was drawn with, and a typed key; its generator sorts, which nothing else does."""

    observation_space = Box((1,), np.float32, 0.0, 1.0)
    action_space = Discrete(2)

    def init(self, key):
        return jnp.sort(jax.random.uniform(key, (3,)))[1], key

    def transition(self, key, s, action):
        return s, 1.0, False, False

    def observe(self, key, s):
        return s[0][None]


def world(steps=3):
    return Episodes(Drawn(), steps)


def numbers(env):
    return np.asarray(env.dynamics.worlds[0])


@pytest.fixture(scope="module")
def finite():
    return pooled(jax.random.key(0), world(), worlds=8, refresh=0.25)


@pytest.mark.parametrize("law", ["E1", "E2", "E5", "E6", "E7"])
def test_law(finite, law):
    LAWS[law](finite)


def test_a_pool_draws_its_worlds_uniformly_and_no_others(finite):
    states = jax.jit(jax.vmap(finite.reset))(jax.random.split(jax.random.key(1), 4000))[0]
    drawn, counts = np.unique(np.asarray(states.s[0]), return_counts=True)
    np.testing.assert_array_equal(drawn, np.sort(numbers(finite)))
    chi2 = ((counts - 500) ** 2 / 500).sum()
    assert chi2 < 24.3  # 7 degrees of freedom: 0.1 %


def test_a_refresh_replaces_the_next_share_round_robin(finite):
    env, before = finite, numbers(finite)
    for i in range(5):
        env = refreshed(jax.random.key(10 + i), env)
        changed = np.flatnonzero(numbers(env) != before)
        assert changed.tolist() == [2 * i % 8, 2 * i % 8 + 1]
        before = numbers(env)
    assert len(set(before.tolist())) == 8


def test_a_step_does_not_generate(finite):
    """E10: the generator is in the program of an exact world, and not in that of a pool."""
    key = jax.random.key(0)

    def program(env):
        state, _ = jax.eval_shape(env.reset, key)
        return str(jax.make_jaxpr(lambda env, state: env.step(key, state, jnp.int32(0)))(env, state))

    assert " sort" in program(world()) and " sort" not in program(finite)


def test_transforms_stay_around_a_pool():
    env = pooled(jax.random.key(0), apply(world(), stack=2), worlds=4, refresh=0.0)
    again = refreshed(jax.random.key(1), env)
    assert env.observation_space.shape == (2, 1)
    np.testing.assert_array_equal(numbers(env.env), numbers(again.env))


def test_a_world_that_outlives_its_episodes_has_no_pool():
    class Kept(Drawn):
        def again(self, key, s):
            return s

    with pytest.raises(BadInput, match=r"env.reset=pool: Episodes .*env.reset=exact"):
        pooled(jax.random.key(0), Episodes(Kept(), 3), worlds=4, refresh=0.0)


def test_a_pool_beyond_memory_is_refused_before_it_is_made():
    from romanesco.lab.compose import resolve

    (config,) = resolve("craftax/gru", ["env.reset=pool", "env.worlds=1e12", "seeds=2"])
    assert memory(world(), 1000) >= 4000
    with pytest.raises(BadInput, match=r"env.worlds=1000000000000: pools of .* GiB for seeds=2"):
        _pooling(config, world())


def setup(every):
    rates = dict.fromkeys(("learning_rate", "gamma", "lam", "clip"), jnp.float32(0.1))
    hp = ppo.Hyper(**rates, epochs=1, minibatches=1)
    make = lambda key, env: pooled(key, env, worlds=4, refresh=0.5)
    return train.Setup(world(1), hp, OPT, num_envs=8, horizon=4, pool=train.Pooling(make, refreshed, every))


@pytest.mark.slow
def test_a_run_replaces_worlds_at_the_same_updates_however_it_is_cut():
    from romanesco.laws.collector import fresh

    told = setup(every=2)
    make = lambda key: fresh(key, told.env, "none")
    key, other = jax.random.key(3), jax.random.key(4)
    begin = jax.jit(lambda key: train.init(key, make, told))
    chunk = jax.jit(lambda key, state, first, count: train.chunk(5, key, state, told, first, count, 5)[0])
    start = begin(key)
    whole = chunk(key, start, 0, 5)
    parts = start
    for first, count in ((0, 1), (1, 2), (3, 2)):
        parts = chunk(key, parts, first, count)
    plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    same = lambda a, b: np.testing.assert_array_equal(plain(a), plain(b))
    jax.tree.map(same, *(eqx.filter(state, eqx.is_array) for state in (whole, parts)))
    assert int(whole.pooled.dynamics.next) == 0 and not set(numbers(whole.pooled)) & set(numbers(start.pooled))
    assert not set(numbers(start.pooled)) & set(numbers(begin(other).pooled))
    assert dataclasses.replace(told, pool=None).world(None) is told.env
