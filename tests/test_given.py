"""Worlds that come as objects: what is none is refused with a remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.lab.build import given_environment
from romanesco.lab.worlds import GivenEnvironment


class Coin(Dynamics):
    """A coin, seen and named."""

    observation_space = Box((1,), np.float32, 0.0, 1.0)
    action_space = Discrete(2)

    def init(self, key):
        return jax.random.bernoulli(key)

    def transition(self, key, s, action):
        return s, (action == s).astype(jnp.float32), True, False

    def observe(self, key, s):
        return s[None]


class Partial(Episodes):
    """An environment that lacks a name."""

    @property
    def params(self):
        raise AttributeError


def raising():
    raise RuntimeError("no display")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (Coin, r"Coin: a Dynamics has no clock yet; give Episodes\(Coin\(\.\.\.\), max_steps=\.\.\.\)"),
        (Coin(), "Coin: a Dynamics has no clock yet"),
        (Partial(Coin()), "env=Partial: a pure environment also needs params$"),
        (5, "env=int: a pure environment also needs action_space, .*, step, threshold"),
        (lambda: None, "env=NoneType: a pure environment also needs"),
        (lambda n: n, "env=<lambda>: called without arguments it raised TypeError"),
        (raising, "env=raising: called without arguments it raised RuntimeError: no display"),
    ],
)
def test_what_is_no_environment_is_told_so(env, said):
    with pytest.raises(BadInput, match=said):
        given_environment(env, GivenEnvironment())


def test_a_factory_or_a_class_makes_one():
    assert given_environment(lambda: Episodes(Coin(), 1), GivenEnvironment()).max_steps == 1
