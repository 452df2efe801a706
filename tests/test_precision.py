"""precision=bfloat16 rounds the operands of matrix products, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.normalize import Normalizer
from romanesco.agent.rollout import collect, start
from romanesco.core.layers import dense, lecun, project
from romanesco.core.precision import MATMULS, OFF_POLICY
from romanesco.laws.collector import case, m4_replay
from romanesco.learn import ppo
from romanesco.learn.ppo import Hyper


def rounded(x):
    return np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64)


def bfloat16():
    return jax.default_matmul_precision(MATMULS["bfloat16"])


@pytest.fixture
def operands():
    x, weight = jax.random.normal(jax.random.key(0), (5, 33)), jax.random.normal(jax.random.key(1), (7, 33))
    return x, weight


def test_a_product_is_that_of_rounded_operands_summed_in_float32(operands):
    x, weight = operands
    with bfloat16():
        y = jax.jit(project)(x, weight)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, rounded(x) @ rounded(weight).T, rtol=1e-5, atol=1e-5)
    assert np.abs(np.asarray(y) - np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T).max() > 1e-3


def test_gradients_are_float32_and_near(operands):
    x, weight = operands
    slopes = jax.grad(lambda x, weight: (project(x, weight) ** 2).sum(), (0, 1))
    want = slopes(x, weight)
    with bfloat16():
        got = slopes(x, weight)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == jnp.float32 and not np.array_equal(a, b)
        np.testing.assert_allclose(a, b, atol=0.02 * np.abs(b).max())


def test_one_compiled_function_follows_the_precision_it_is_called_in(operands):
    layer, run = lecun(33, 7, key=jax.random.key(2)), jax.jit(dense)
    plain = run(layer, operands[0])
    with bfloat16():
        rough = run(layer, operands[0])
    assert not np.array_equal(plain, rough)
    np.testing.assert_array_equal(plain, run(layer, operands[0]))


@pytest.mark.parametrize("memory", ["gru", "agalite"])
def test_m4_acting_and_replay_agree_within_the_alarm(memory):
    with bfloat16():
        m4_replay(collect, memory, within=OFF_POLICY["bfloat16"])


def test_parameters_moments_states_and_log_probs_stay_float32():
    env, agent = case("probe8", "gru")
    opt = ppo.optimizer()
    learner = ppo.init(agent, opt, Normalizer(None, None))

    def learn(key):
        streams = start(key, env, agent, 4)
        after, rollout, _ = collect(key, env, agent, streams, 8)
        return after.carry, rollout, *ppo.update(key, learner, rollout, opt, Hyper(epochs=1, minibatches=2))

    kinds = lambda: [(x.shape, x.dtype) for x in jax.tree.leaves(jax.eval_shape(learn, jax.random.key(0)))]
    plain = kinds()
    with bfloat16():
        assert kinds() == plain
