"""A policy in the hands of its user: its forms agree, and it speaks in the world's own spaces."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent import ENCODERS
from romanesco.agent.agent import build
from romanesco.agent.policy import Policy
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space, contains
from romanesco.memory.gru import GRU

SEES = Box((3,))
CHOICES = Discrete(3, start=-1)


def policy(action_space: Space = CHOICES, **options) -> Policy:
    agent = build(
        jax.random.key(0), SEES, action_space, encoder=ENCODERS["identity"], memory=GRU, head_gain=5.0,
        actor_hidden=(), critic_hidden=(),
    )  # fmt: skip
    return Policy(agent, SEES, action_space, **options)


def episodes(n: int, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, batch, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "space",
    [Discrete(3, start=-1), MultiDiscrete(((2, 3), (4, 2))), Box((2,), low=[-0.1, 0.0], high=[0.0, 0.1])],
    ids=["discrete", "multidiscrete", "box"],
)
def test_it_answers_in_the_worlds_own_space(space):
    one = policy(space)
    for obs in episodes(10, 1):
        answers = [one(obs[0]), one.predict(obs[0])[0]]
        answers += [np.asarray(one.step(one.actor.init_carry(), obs[0], jnp.bool_(True), jax.random.key(0))[1])]
        answers += [one.predict(obs[0], deterministic=False, key=jax.random.key(1))[0]]
        assert all(contains(space, action) for action in answers), answers


def test_it_remembers_and_a_mask_restarts_single_streams():
    obs = episodes(6)
    one, other = policy(Box((2,))), policy(Box((2,)))
    one.reset(batch=2)
    other.reset(batch=2)
    for x in obs[:3]:
        one(x)
    fresh = np.array([False, True])
    got, new = one(obs[3], first=fresh), other(obs[3])
    assert (got[1] == new[1]).all() and (got[0] != new[0]).any()
    assert (one(obs[4])[1] == other(obs[4])[1]).all()
    one.reset(batch=2)
    assert (one(obs[3]) == new).all()


def test_predict_is_the_form_of_stable_baselines3():
    obs, one = episodes(6), policy(Box((2,)))
    one.reset(batch=2)
    state, starts = None, np.ones(2, bool)
    for t, x in enumerate(obs):
        restart = np.array([False, t == 3])
        action, state = one.predict(x, state, episode_start=starts | restart, deterministic=True)
        assert (action == one(x, first=restart)).all()
        starts = np.zeros(2, bool)
    first, _ = one.predict(obs[0])  # no state: an episode begins
    one.reset(batch=2)
    assert (first == one(obs[0])).all()
    with pytest.raises(BadInput, match="key="):
        one.predict(obs[0], deterministic=False)


def test_the_pure_form_runs_under_jit_and_vmap():
    one, obs = policy(Discrete(3)), episodes(4)
    keys = jax.random.split(jax.random.key(3), 2)
    step = jax.jit(jax.vmap(one.step))
    carry, first = one.init_carry(2), jnp.ones(2, bool)
    for x in obs:
        carry, action = step(carry, x, first, keys)
        assert action.shape == (2,) and set(np.asarray(action)) <= {0, 1, 2}
        first = jnp.zeros(2, bool)
    again = [one.step(one.actor.init_carry(), obs[0][i], jnp.bool_(True), keys[i])[1] for i in range(2)]
    assert (np.asarray(again) == np.asarray(step(one.init_carry(2), obs[0], jnp.ones(2, bool), keys)[1])).all()


def test_shapes_and_types_are_looked_at():
    one = policy()
    assert one(np.zeros(3, np.float64)).shape == () and one([0.0, 0.0, 0.0]).shape == ()
    assert one(np.zeros((1, 3))).shape == (1,)
    with pytest.raises(BadInput, match=r"shape \(4,\)"):
        one(np.zeros(4))
    with pytest.raises(BadInput, match=r"reset\(batch=2\)"):
        one(np.zeros((2, 3)))
    with pytest.raises(BadInput, match="batch=0"):
        one.reset(batch=0)


def test_a_selection_shows():
    assert "best of 10" in repr(policy(seed=3, selected="the best of 10 seeds"))
    assert "seed 3" in repr(policy(seed=3)) and "best" not in repr(policy(seed=3))


def test_precision_is_that_of_the_run():
    entered = []

    @contextlib.contextmanager
    def within():
        entered.append(1)
        with jax.enable_x64(False):
            yield

    one = policy(Box((2,)), within=within)
    plain = one(np.ones(3))
    one.reset()
    entered.clear()
    with jax.enable_x64(True):
        again = one(np.ones(3))
    assert entered and (again == plain).all() and again.dtype == plain.dtype
