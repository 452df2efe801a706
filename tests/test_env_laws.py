"""Every registered pure world, bare and behind transforms, obeys the laws E1-E9; what is listed of it is true."""

import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import describe
from romanesco.core.types import Env
from romanesco.envs import ENVS
from romanesco.envs.table import ALIASES, LIBRARIES, PARAMS, PURE, ROWS, VELOCITIES, resolve
from romanesco.envs.transforms import apply
from romanesco.laws.environment import LAWS

WRAPPED = {
    "tmaze-stack": ("tmaze", {"max_steps": 7, "stack": 3}),
    "cartpole-hidden-stack": ("cartpole", {"max_steps": 7, "no_velocity": True, "stack": 2}),
    "pendulum-rescaled": ("pendulum", {"max_steps": 7, "rescale_actions": True}),
}


@pytest.fixture(scope="module", params=[*PURE, *WRAPPED])
def env(request):
    name, settings = WRAPPED.get(request.param, (request.param, {}))
    return apply(ENVS[name](), **settings)


@pytest.mark.parametrize("law", LAWS)
def test_law(env, law):
    LAWS[law](env)


def test_row_is_true(env, request):
    name = request.node.callspec.params["env"]
    if name in WRAPPED:
        pytest.skip("no row of its own")
    row = ROWS[name]
    assert isinstance(env, Env)
    assert (row.observation, row.actions) == (describe(env.observation_space), describe(env.action_space))
    assert (row.limit, row.threshold) == (env.max_steps, env.threshold)
    assert env.params == PARAMS.get(name, {})
    assert env.velocities == VELOCITIES.get(name, ())
    if env.feature_names is not None:
        assert len(env.feature_names) == env.observation_space.shape[0]


def test_every_world_is_listed():
    assert set(ENVS) == {*ROWS, *LIBRARIES, "gymnasium"}


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_resolves(alias):
    assert resolve(alias) == (ALIASES[alias], {})
    assert resolve(f"gymnax:{alias}") == (ALIASES[alias], {})


def test_other_gymnax_ids_resolve():
    assert resolve("gymnax:Catch-bsuite") == ("gymnax", {"id": "Catch-bsuite"})
    assert resolve("minatar/space_invaders") == ("gymnax", {"id": "SpaceInvaders-MinAtar"})


@pytest.mark.parametrize(
    ("wrong", "right"), [("CartPole-v2", "CartPole-v1"), ("t-maze", "tmaze"), ("minatar/brekout", "minatar/breakout")]
)
def test_unknown_name_names_the_nearest(wrong, right):
    with pytest.raises(BadInput, match=f"unknown environment `{wrong}`; did you mean `{right}`"):
        resolve(wrong)
