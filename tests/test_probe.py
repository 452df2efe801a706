"""Each probe pays and shows what its docstring says, so that the value it must teach follows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.envs import ENVS

GAMMA = 0.9


def play(env, actions, seed=0):
    """The first episode under the given actions, 64 streams -> steps [T+1, 64]."""

    def stream(key):
        def tick(state, x):
            return env.step(x[0], state, x[1])

        state, begun = env.reset(key)
        _, steps = jax.lax.scan(tick, state, (jax.random.split(key, len(actions)), jnp.asarray(actions)))
        return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), begun, steps)

    steps = jax.jit(jax.vmap(stream, out_axes=1))(jax.random.split(jax.random.key(seed), 64))
    return jax.tree.map(np.asarray, steps)


def values(ts, at_end=0.0):
    """Discounted rewards to come, from the first step on; `at_end` is bootstrapped where discount is 1."""
    v = ts.discount[-1] * at_end
    for t in reversed(range(len(ts.reward) - 1)):
        v = ts.reward[t + 1] + GAMMA * ts.discount[t + 1] * v
    return v


def both_signs(x):
    return set(np.unique(x)) == {-1.0, 1.0}


def test_probe1_value_is_1():
    ts = play(ENVS["probe1"](), [0])
    assert ts.last[1].all() and (values(ts) == 1).all() and (ts.obs == 0).all()


def test_probe2_value_is_the_observation():
    ts = play(ENVS["probe2"](), [0])
    assert both_signs(ts.obs[0]) and (values(ts) == ts.obs[0, :, 0]).all()


def test_probe3_value_is_gamma_then_1():
    ts = play(ENVS["probe3"](), [0, 0])
    assert (ts.obs[0] == 0).all() and (ts.obs[1] == 1).all() and ts.last[2].all()
    np.testing.assert_allclose(values(ts), GAMMA)


@pytest.mark.parametrize(("action", "value"), [(0, 1), (1, -1)])
def test_probe4_action_0_is_better(action, value):
    ts = play(ENVS["probe4"](), [action])
    assert ts.last[1].all() and (values(ts) == value).all()


@pytest.mark.parametrize("action", [0, 1])
def test_probe5_the_action_names_the_sign(action):
    ts = play(ENVS["probe5"](), [action])
    assert both_signs(ts.obs[0]) and (ts.reward[1] == ts.obs[0, :, 0] * (1 if action else -1)).all()


@pytest.mark.parametrize("action", [0, 1])
def test_probe6_the_second_action_names_what_was_seen_first(action):
    ts = play(ENVS["probe6"](), [1 - action, action])
    assert both_signs(ts.obs[0]) and (ts.obs[1:] == 0).all()
    assert (ts.reward[1] == 0).all() and not ts.last[1].any() and ts.last[2].all()
    assert (ts.reward[2] == ts.obs[0, :, 0] * (1 if action else -1)).all()


def test_probe7_value_bootstraps_through_the_limit():
    ts = play(ENVS["probe7"](), [0] * 5)
    assert ts.last[5].all() and (ts.discount == 1).all() and (ts.obs == 0).all()
    np.testing.assert_allclose(values(ts, at_end=1 / (1 - GAMMA)), 1 / (1 - GAMMA))


def test_probe7_terminal_shows_the_steps_left():
    ts = play(ENVS["probe7"](terminal=True), [0] * 5)
    np.testing.assert_allclose(ts.obs[:, 0, 0], np.arange(5, -1, -1) / 5, rtol=1e-6)
    assert ts.last[5].all() and (ts.discount[5] == 0).all()
    np.testing.assert_allclose(values(ts, at_end=99), (1 - GAMMA**5) / (1 - GAMMA))


def test_probe8_pays_for_the_distance():
    env = ENVS["probe8"](bound=0.5)
    ts = play(env, np.full((1, 1), 0.25, np.float32))
    assert env.action_space.bounds[1] == 0.5
    assert -1 <= ts.obs.min() < -0.8 and 0.8 < ts.obs.max() <= 1
    np.testing.assert_allclose(ts.reward[1], -((0.25 - ts.obs[0, :, 0]) ** 2), rtol=1e-6)


def test_probe8_refuses_an_empty_bound():
    with pytest.raises(BadInput, match=r"bound=0\.0"):
        ENVS["probe8"](bound=0.0)
