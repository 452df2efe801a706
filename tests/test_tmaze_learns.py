"""Law L7: memories learn the T-Maze within seconds; without one it stays a coin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.agent import build
from romanesco.agent.encoders.vector import Linear
from romanesco.agent.evaluate import evaluate
from romanesco.envs.tmaze import tmaze
from romanesco.learn import ppo, train
from romanesco.memory import GRU, AGaLiTe, Feedforward, Stack

pytestmark = pytest.mark.optimized

CELLS = {
    "none": Feedforward,
    "gru": GRU,
    "agalite": functools.partial(Stack.of, AGaLiTe, layers=1, heads=2, head_size=16, eta=2, gate="residual", ffn=64),
}


@functools.cache
def learned(memory, updates=150):
    """-> success of 256 greedy episodes after 150 updates of 32 streams and 32 steps, and the rows of training."""
    env = tmaze(corridor_length=8, max_steps=100)
    eye, cell = functools.partial(Linear, width=32), CELLS[memory]

    def make(key):
        memory = lambda size, *, key: cell(size=size, key=key)
        return build(key, env.observation_space, env.action_space, encoder=eye, memory=memory)

    hp = ppo.Hyper(learning_rate=3e-3, gamma=0.97, lam=0.95, entropy_cost=0.02, epochs=4, minibatches=2)
    setup = train.Setup(env, hp, ppo.optimizer(), num_envs=32, horizon=32, anneal=("learning_rate",))

    @jax.jit
    def run(key):
        state, rows = train.train(key, make, setup, updates)
        k_eval = jax.random.fold_in(key, 99)
        return state.failed, rows, evaluate(k_eval, env, state.learner.actor, episodes=256, greedy=True)

    failed, rows, scores = run(jax.random.key(0))
    assert failed == -1
    return {name: float(jnp.nanmean(x)) for name, x in scores.items()}, rows


@pytest.mark.parametrize("memory", ["gru", "agalite"])
def test_a_memory_learns_to_turn(memory):
    scores, _ = learned(memory)
    assert scores["success"] > 0.9, scores


def test_without_memory_it_stays_a_coin():
    scores, _ = learned("none")
    assert scores["reached"] > 0.9, "the way to the junction needs no memory"
    assert abs(scores["success"] - 0.5) < 0.15, scores


@pytest.mark.parametrize("memory", CELLS)
def test_acting_and_replay_agree_throughout(memory):
    """C3: the first minibatch of every update has ratio 1."""
    assert np.max(learned(memory)[1]["train/off_policy"]) < 1e-4
