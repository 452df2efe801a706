"""Running normalization: one pass over all data, in chunks; frozen while anything could notice."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.normalize import Moments, Normalized, Normalizer, discounted_returns
from romanesco.agent.rollout import collect, start
from romanesco.core.spaces import Box, Discrete
from romanesco.core.types import Rollout
from romanesco.laws.collector import case
from romanesco.laws.learner import random_steps
from romanesco.learn import ppo

T, B, CHUNKS, GAMMA = 6, 4, 5, 0.9
SPACE = {"camera": Box((2,), np.uint8, 0, 255), "count": Discrete(5), "speed": Box((2,))}


def rollout_of(seed):
    """Random contents; speeds far from 0, where a naive sum of squares would lose its digits."""
    rng = np.random.default_rng(seed)
    obs = {
        "camera": jnp.asarray(rng.integers(0, 256, (T + 1, B, 2)), jnp.uint8),
        "count": jnp.asarray(rng.integers(0, 5, (T + 1, B)), jnp.int32),
        "speed": jnp.asarray(rng.normal(100, [0.5, 3], (T + 1, B, 2)), jnp.float32),
    }
    zero = jnp.zeros((T, B))
    return Rollout(random_steps(seed, T, B, obs), zero, zero, jnp.zeros((T + 1, B)), ())


@pytest.fixture(scope="module")
def learned():
    """-> a normalizer that has seen all rollouts one after another, the rollouts, and their returns."""
    normalizer, G, rollouts, seen = Normalizer.of(SPACE, obs=True, reward=True), jnp.zeros(B), [], []
    for seed in range(CHUNKS):
        rollout = rollout_of(seed)
        G, returns = discounted_returns(G, rollout, jnp.float32(GAMMA))
        normalizer = normalizer.merge(rollout, returns)
        rollouts.append(rollout)
        seen.append(returns)
    return normalizer, rollouts, np.asarray(seen)


def test_moments_are_those_of_all_observations_at_once(learned):
    normalizer, rollouts, _ = learned
    every = np.concatenate([np.asarray(r.steps.obs["speed"][:-1], np.float64).reshape(-1, 2) for r in rollouts])
    moments = normalizer.obs["speed"]
    assert moments.count == len(every) == T * B * CHUNKS
    np.testing.assert_allclose(moments.mean, every.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moments.scale, np.sqrt(every.var(0) + 1e-8), rtol=1e-4)


def test_observations_are_standardized_and_clipped(learned):
    normalizer = learned[0]
    mean, scale = normalizer.obs["speed"].mean, normalizer.obs["speed"].scale
    obs = {"camera": jnp.zeros(2, jnp.uint8), "count": jnp.int32(0), "speed": mean + jnp.array([2.0, -50.0]) * scale}
    np.testing.assert_allclose(normalizer.see(obs)["speed"], [2, -10], rtol=1e-4)


def test_only_floats_are_touched(learned):
    obs = jax.tree.map(lambda x: x[0, 0], rollout_of(9).steps.obs)
    seen = learned[0].see(obs)
    for name in ("camera", "count"):
        assert seen[name].dtype == obs[name].dtype and jnp.array_equal(seen[name], obs[name])


def test_identity_before_the_first_sample():
    normalizer, rollout = Normalizer.of(SPACE, obs=True, reward=True), rollout_of(0)
    wild = eqx.tree_at(lambda r: r.steps.reward, rollout, 1e6 * rollout.steps.reward)
    obs = jax.tree.map(lambda x: x[0, 0], wild.steps.obs)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, normalizer.see(obs), obs))
    assert jnp.array_equal(normalizer.scaled(wild).steps.reward, wild.steps.reward)


def test_moments_of_nothing_change_nothing():
    moments = Moments(jnp.float32(3), jnp.float32(2), jnp.float32(5))
    merged = moments.merge(jnp.full(4, 9.0), jnp.zeros(4))
    assert (merged.count, merged.mean, merged.m2) == (3, 2, 5)


def slow_returns(rollouts):
    """G_t = gamma G_{t-1} + r_t on arriving at a step, anew at each `first`; and where it counts."""
    G, every, counts = np.zeros(B), [], []
    for rollout in rollouts:
        for t in range(1, T + 1):
            first, reward = np.asarray(rollout.steps.first[t]), np.asarray(rollout.steps.reward[t], np.float64)
            G = np.where(first, 0.0, GAMMA * G + reward)
            every.append(G)
            counts.append(~first)
    return np.array(every), np.array(counts)


def test_returns_run_on_from_rollout_to_rollout(learned):
    _, rollouts, returns = learned
    np.testing.assert_allclose(returns.reshape(-1, B), slow_returns(rollouts)[0], atol=1e-5)


def test_rewards_are_scaled_by_the_deviation_of_returns_without_first_steps(learned):
    normalizer, rollouts, _ = learned
    every, counts = slow_returns(rollouts)
    assert (~counts).sum() > 0, "some steps must be left out"
    assert normalizer.reward.count == counts.sum()
    want = np.asarray(rollouts[0].steps.reward) / np.sqrt(every[counts].var() + 1e-8)
    np.testing.assert_allclose(normalizer.scaled(rollouts[0]).steps.reward, want, rtol=1e-4)
    wild = eqx.tree_at(lambda r: r.steps.reward, rollouts[0], jnp.full((T + 1, B), -1e6))
    assert (normalizer.scaled(wild).steps.reward == -10).all()


@pytest.mark.parametrize("kinds", [{}, {"obs": True}, {"reward": True}])
def test_what_is_not_asked_for_is_not_normalized(kinds):
    normalizer = Normalizer.of(SPACE, **kinds)
    merged = normalizer.merge(rollout_of(0), jnp.ones((T, B)))
    assert (merged.obs is not None, merged.reward is not None) == ("obs" in kinds, "reward" in kinds)


def test_statistics_are_frozen_so_that_replay_is_acting():
    """Three rollouts, the normalizer refreshed in between: each replays with ratio 1; `update` leaves it alone."""
    env, agent = case("tmaze", "gru")
    opt, hp = ppo.optimizer(), ppo.Hyper(epochs=1, minibatches=1)
    learner = ppo.init(agent, opt, Normalizer.of(env.observation_space, obs=True, reward=True))
    streams, returns = start(jax.random.key(0), env, learner.actor, 4), jnp.zeros(4)

    @jax.jit
    def one(key, learner, streams, returns):
        streams, rollout, _ = collect(key, env, learner.actor, streams, 8)
        after, metrics = ppo.update(key, learner, rollout, opt, hp)
        returns, seen = discounted_returns(returns, rollout, jnp.float32(0.99))
        return after, streams, returns, metrics, after.normalizer.merge(rollout, seen)

    for key in jax.random.split(jax.random.key(1), 3):
        after, streams, returns, metrics, merged = one(key, learner, streams, returns)
        assert metrics["off_policy"] < 1e-5
        assert jax.tree.all(jax.tree.map(jnp.array_equal, after.normalizer, learner.normalizer))
        assert merged.obs.count == learner.normalizer.obs.count + 32
        learner = dataclasses.replace(after, normalizer=merged)


def test_a_normalized_agent_sees_what_the_normalizer_shows():
    env, agent = case("tmaze", "gru")
    shape = env.observation_space.shape
    normalizer = Normalizer(Moments(jnp.float32(9), jnp.full(shape, 0.5), jnp.full(shape, 2.0)), None)
    carry, obs, first = agent.init_carry(), jnp.ones(shape), jnp.array(True)
    _, got = Normalized(normalizer, agent).step(carry, obs, first)
    _, want = agent.step(carry, normalizer.see(obs), first)
    assert jnp.array_equal(got.dist.logits, want.dist.logits) and not jnp.array_equal(normalizer.see(obs), obs)
