"""The actor that looks at nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from romanesco.agent.uniform import Uniform
from romanesco.core.spaces import Box, Discrete, MultiDiscrete


def drawn(space, obs=None):
    actor = Uniform(space)
    said = actor.step(actor.init_carry(), obs, jnp.array(False))[1]
    return np.asarray(jax.vmap(said.dist.sample)(jax.random.split(jax.random.key(0), 400)))


def test_every_choice_is_as_likely():
    actions = drawn(Discrete(4))
    assert (np.abs(np.bincount(actions, minlength=4) / 400 - 0.25) < 0.08).all()
    assert set(map(tuple, drawn(MultiDiscrete((2, 3))))) == {(i, j) for i in range(2) for j in range(3)}


def test_a_forbidden_choice_is_not_taken():
    assert set(drawn(Discrete(4), {"allowed": jnp.array([True, False, True, False])})) == {0, 2}


def test_a_box_is_filled_between_its_bounds():
    actions = drawn(Box((2,), np.float32, [-1, 0], [1, np.inf]))
    assert np.abs(actions[:, 0]).max() <= 1 and abs(actions[:, 0].mean()) < 0.1 and actions[:, 0].std() > 0.5
    assert actions[:, 1].min() >= 0 and actions[:, 1].max() > 1.5
