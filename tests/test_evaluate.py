"""Evaluation: a fixed share of episodes for every stream, whatever their lengths."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.evaluate import STREAMS, episode, evaluate
from romanesco.core.actions import Categorical
from romanesco.core.spaces import Box, Discrete
from romanesco.core.types import Output
from romanesco.core.values import Point
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.probe import probe4
from romanesco.laws.collector import case


class Coin(Dynamics):
    """Length 1, or with an even chance `long`; each step of a long episode pays 1."""

    long: jax.Array
    observation_space = Box((1,))
    action_space = Discrete(2)

    def init(self, key):
        return jnp.where(jax.random.bernoulli(key), 1, self.long), jnp.int32(0)

    def transition(self, key, s, action):
        length, t = s
        return (length, t + 1), length > 1, t + 1 == length, False

    def observe(self, key, s):
        return jnp.zeros(1)


class Roll(Coin):
    """Every life has a name and counts its episodes, which have any length from 1 to `long`."""

    def init(self, key):
        return jax.random.uniform(key), jnp.int32(0), jnp.int32(0)

    def again(self, key, s):
        name, number, _ = s
        return name, number + 1, jnp.int32(0)

    def transition(self, key, s, action):
        name, number, t = s
        length = 1 + (1000 * name).astype(jnp.int32) * (number + 1) % self.long
        return (name, number, t + 1), 0.0, t + 1 == length, False

    def metrics(self, s):
        return {"name": s[0], "number": s[1]}


class Leaning(eqx.Module):
    """Prefers action 0, two to one."""

    logits: jax.Array

    def init_carry(self):
        return ()

    def step(self, carry, obs, first):
        return carry, Output(Categorical(self.logits), Point(obs[0]), obs)


ACTOR = Leaning(jnp.log(jnp.array([2.0, 1.0])))


def play(env, episodes, *, seed=0, greedy=True):
    return jax.jit(lambda key: evaluate(key, env, ACTOR, episodes=episodes, greedy=greedy))(jax.random.key(seed))


@pytest.mark.parametrize("episodes", [1, 5, 130])
def test_every_stream_plays_its_share_in_order(episodes):
    got = play(Episodes(Roll(jnp.int32(7))), episodes)
    n, e = min(STREAMS, episodes), np.arange(episodes)
    assert all(x.shape == (episodes,) for x in got.values())
    np.testing.assert_array_equal(got["number"], e // n)
    np.testing.assert_array_equal(got["name"], got["name"][e % n])
    assert len(np.unique(got["name"])) == n


@pytest.mark.parametrize("episodes", [1, 6, 7, 20])
def test_one_program_plays_any_number_of_episodes_up_to_the_most(episodes):
    env = Episodes(Roll(jnp.int32(7)))
    play = lambda n, **shapes: evaluate(jax.random.key(0), env, ACTOR, episodes=n, greedy=True, streams=6, **shapes)
    got = jax.jit(lambda n: play(n, most=20))(episodes)
    wanted = jax.jit(lambda: play(episodes, most=20))()
    for name, column in got.items():
        assert column.shape == (20,) and np.isnan(column[episodes:]).all(), name
        np.testing.assert_array_equal(column, wanted[name])
    if episodes >= 6:
        alone = jax.jit(lambda: play(episodes))()
        assert all((got[name][:episodes] == column).all() for name, column in alone.items())


def test_short_episodes_are_not_favoured():
    """A fair coin between returns 0 and 100: the first 20 to finish would have a mean near 0."""
    env, keys = Episodes(Coin(jnp.int32(100))), jax.random.split(jax.random.key(3), 50)
    one = jax.jit(lambda key: evaluate(key, env, ACTOR, episodes=20, greedy=True)["return"])
    returns = np.array([one(key) for key in keys])
    assert set(returns.ravel()) == {0.0, 100.0}
    assert abs(returns.mean() - 50) < 4 * 50 / 1000**0.5


def test_an_episode_that_never_ends_is_nan(monkeypatch):
    monkeypatch.setattr(sys.modules["romanesco.agent.evaluate"], "PATIENCE", 30)
    got = play(Episodes(Coin(jnp.int32(10_000))), 40)
    ended = ~np.isnan(got["return"])
    assert 0 < ended.sum() < 40
    assert (got["length"][ended] == 1).all() and np.isnan(got["length"][~ended]).all()


def test_a_limit_leaves_room_for_every_episode():
    got = play(Episodes(Coin(jnp.int32(10_000)), max_steps=12), 130)
    assert set(np.unique(got["length"])) == {1, 12}


def test_greedy_takes_the_mode_and_sampled_does_not():
    greedy, sampled = (play(probe4(), 300, greedy=g)["return"] for g in (True, False))
    assert (greedy == 1).all()
    assert abs(sampled.mean() - 1 / 3) < 4 * (8 / 9 / 300) ** 0.5


def test_success_is_a_return_of_at_least_the_threshold():
    got = play(Episodes(Coin(jnp.int32(9)), threshold=9.0), 40)
    np.testing.assert_array_equal(got["success"], got["return"] >= 9)
    assert 0 < got["success"].sum() < 40
    assert "success" not in play(Episodes(Coin(jnp.int32(9))), 1)


def test_the_key_names_the_episodes():
    env, agent = case("probe8", "gru")
    one = jax.jit(lambda key: evaluate(key, env, agent, episodes=4, greedy=True)["return"])
    first, again, other = (one(jax.random.key(seed)) for seed in (0, 0, 1))
    assert jnp.array_equal(first, again) and len(np.unique(jnp.stack([first, other]))) == 8


def test_one_episode_gives_every_state_for_pictures():
    env, agent = case("tmaze", "gru")
    states, metrics = episode(jax.random.key(0), env, agent)
    assert len(states) == metrics["length"] + 1
    assert env.render(states[0]).dtype == jnp.uint8
