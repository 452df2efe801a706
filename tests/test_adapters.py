"""Worlds of other JAX libraries: each is played for some steps. Skipped, each, without the extra `jax-envs`."""

import functools
import importlib.util

import jax
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import contains
from romanesco.core.types import Env
from romanesco.envs import ENVS
from romanesco.envs.table import resolve
from romanesco.laws.environment import _play

pytestmark = pytest.mark.filterwarnings("ignore")  # brax and navix warn of what they are built on
WORLDS = ["navix:Navix-Empty-5x5-v0", "xminigrid:MiniGrid-Empty-5x5", "brax:inverted_pendulum", "jumanji:Snake-v1"]


def made(name, **settings):
    library, _, id = name.partition(":")
    if importlib.util.find_spec(library) is None:
        pytest.skip(f'{library} needs the extra: pip install -e ".[jax-envs]"')
    return ENVS[library](id, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_it_is_a_world(name):
    """Spaces, strong types, ends: one stream across a limit of 9 steps."""
    env = made(name, max_steps=9)
    assert isinstance(env, Env)
    steps, actions = jax.device_get(jax.jit(functools.partial(_play, env, T=24))(*jax.random.split(jax.random.key(0))))
    assert steps.first[0] and (steps.first[1:] == steps.last[:-1]).all() and steps.last.any()
    assert not steps.reward[steps.first].any() and steps.last[steps.discount == 0].all()
    for t in range(24):
        obs, action = (jax.tree.map(lambda x, t=t: x[t], tree) for tree in (steps.obs, actions))
        assert contains(env.observation_space, obs) and contains(env.action_space, action)
    key = jax.random.key(0)
    state, begun = jax.eval_shape(env.reset, key)
    again = jax.eval_shape(env.step, key, state, jax.ShapeDtypeStruct(env.action_space.shape, env.action_space.dtype))
    kinds = lambda tree: [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]
    assert kinds((state, begun)) == kinds(again)
    if name.startswith("jumanji"):
        assert steps.obs["allowed"].shape == (25, 4) and steps.obs["allowed"].dtype == np.bool_
        assert 0 < steps.obs["allowed"].sum() < 100


@pytest.mark.parametrize("name", WORLDS)
def test_an_unknown_id_is_named(name):
    with pytest.raises(BadInput, match="did you mean"):
        made(name + "x")
    library, _, id = name.partition(":")
    assert resolve(name) == (library, {"id": id})


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    from romanesco.envs import adapters

    adapters._navix.cache_clear()
    with pytest.raises(BadInput, match=r'pip install -e "\.\[jax-envs\]"'):
        adapters.navix("Navix-Empty-5x5-v0")
