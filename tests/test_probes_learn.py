"""Law L3: each probe is learned within seconds. A failure names the half of a learner that is broken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.agent import build
from romanesco.agent.encoders.vector import Linear
from romanesco.envs import ENVS
from romanesco.learn import ppo, train
from romanesco.memory import GRU, Feedforward

pytestmark = pytest.mark.slow

GAMMA = 0.9
CELLS = {"none": functools.partial(Feedforward, layers=1), "gru": GRU}


def learned(env, memory="none", *, updates=150, **hp):
    """-> the agent after so many updates of 16 streams and 16 steps."""

    def make(key):
        eye = functools.partial(Linear, width=16, act="tanh")
        return build(key, env.observation_space, env.action_space, encoder=eye, memory=CELLS[memory])

    hp = ppo.Hyper(**{"learning_rate": 1e-2, "gamma": GAMMA, "epochs": 2, "minibatches": 2} | hp)
    setup = train.Setup(env, hp, ppo.optimizer(), num_envs=16, horizon=16, anneal=("learning_rate",))
    state, rows = jax.jit(lambda key: train.train(key, make, setup, updates))(jax.random.key(0))
    assert state.failed == -1 and rows["train/off_policy"].max() < 1e-4, "acting and replay differ"
    return state.learner.actor


_sequence = jax.jit(lambda actor, obs, first: actor.sequence(actor.init_carry(), obs, first)[1])


def says(actor, *observations):
    """What it says of each observation of an episode."""
    obs = jnp.asarray(observations, jnp.float32)[:, None]
    first = jnp.arange(len(observations)) == 0
    return _sequence(actor, obs, first)


def value(actor, *observations):
    return np.asarray(says(actor, *observations).value.mean())


def mode(actor, *observations):
    return np.asarray(jax.vmap(lambda d: d.mode())(says(actor, *observations).dist))


def near(got, want, broken, *, atol=0.1):
    assert np.allclose(got, want, atol=atol), f"{broken}: {got}, wanted {want}"


def test_probe1_a_constant_value():
    near(value(learned(ENVS["probe1"]()), 0), 1, "value loss or optimizer: the one value there is")


def test_probe2_a_value_of_the_observation():
    actor = learned(ENVS["probe2"]())
    near([value(actor, x)[0] for x in (-1, 1)], [-1, 1], "encoder or its gradient: values do not follow observations")


def test_probe3_a_discounted_value():
    near(value(learned(ENVS["probe3"]()), 0, 1), [GAMMA, 1], "discount or advantages: values over two steps")


def test_probe4_an_action():
    actor = learned(ENVS["probe4"]())
    assert np.exp(says(actor, 0).dist.log_probs[0, 0]) > 0.9, "policy loss: the better action is not chosen"
    near(value(actor, 0), 1, "value loss: the value of the chosen action")


def test_probe5_an_action_by_observation():
    actor = learned(ENVS["probe5"]())
    chosen = [mode(actor, x)[0] for x in (-1, 1)]
    assert chosen == [0, 1], f"samples mixed up: the action {chosen} is not that of its observation"
    near([value(actor, x)[0] for x in (-1, 1)], [1, 1], "samples mixed up: values of the chosen actions")


def test_probe6_an_action_by_memory():
    actor = learned(ENVS["probe6"](), "gru", updates=250)
    chosen = [mode(actor, x, 0)[1] for x in (-1, 1)]
    assert chosen == [0, 1], f"carry, replay or resets: the action {chosen} is not that of the past observation"
    near([value(actor, x, 0) for x in (-1, 1)], [[GAMMA, 1]] * 2, "carry, replay or resets: values", atol=0.15)


def test_probe6_is_a_coin_without_memory():
    actor = learned(ENVS["probe6"](), "none")
    assert mode(actor, -1, 0)[1] == mode(actor, 1, 0)[1], "an agent without memory remembers"
    near(value(actor, 1, 0)[1], 0, "an agent without memory foresees a coin", atol=0.3)


def test_probe7_a_truncation_bootstraps():
    actor = learned(ENVS["probe7"](), updates=400, lam=1.0)
    near(value(actor, 0), 1 / (1 - GAMMA), "truncation: the value beyond a time limit", atol=1.0)


def test_probe7_a_terminal_limit_does_not():
    actor = learned(ENVS["probe7"](terminal=True))
    left = np.array([5, 4, 3, 2, 1])
    near(value(actor, *(left / 5)), (1 - GAMMA**left) / (1 - GAMMA), "termination: values beyond the end", atol=0.3)


def test_probe8_a_box_action():
    actor = learned(ENVS["probe8"](), updates=300)
    x = np.array([-0.8, 0.0, 0.8])
    near([mode(actor, y)[0, 0] for y in x], x, "Gaussian policy: the mean does not follow the observation", atol=0.2)
