"""Every registered pure world, bare and behind transforms, obeys the laws E1-E10; what is listed of it is true."""

import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import describe
from romanesco.core.types import Env
from romanesco.envs import ENVS
from romanesco.envs.settings import apply
from romanesco.envs.table import ALIASES, LIBRARIES, PARAMS, PURE, ROWS, VELOCITIES, resolve
from romanesco.laws.environment import LAWS

ALL = {
    "action_repeat": 2, "sticky": 0.3, "action_delay": 2, "obs_delay": 1, "obs_dropout": 0.2, "obs_noise": 0.1,
    "show_previous": True, "reward_delay": 3, "reward_scale": 0.1, "reward_clip": 1.0,
}  # fmt: skip
DRAWN = {"randomize": {"length": (0.25, 1.0), "masspole": (0.1, 0.2)}, "context": True}
WRAPPED = {
    "tmaze-stack": ("tmaze", {}, {"max_steps": 7, "stack": 3}),
    "tmaze-all": ("tmaze", {}, {"max_steps": 9, **ALL}),
    "cartpole-all": ("cartpole", {}, {"max_steps": 9, **ALL}),
    "cartpole-drawn-hidden-stack": ("cartpole", DRAWN, {"max_steps": 7, "no_velocity": True, "stack": 2}),
    "pendulum-rescaled": ("pendulum", {}, {"max_steps": 7, "rescale_actions": True}),
    "grid_abc-lives": ("grid_abc", {"life": 3, "view": 3}, {"max_steps": 5, "life_is_episode": True}),
}


@pytest.fixture(scope="module", params=[*PURE, *WRAPPED])
def env(request):
    name, options, settings = WRAPPED.get(request.param, (request.param, {}, {}))
    return apply(ENVS[name](**options), **settings)


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


@pytest.mark.parametrize(
    ("alias", "variant", "easy"),
    [
        ("MysteryPath-v0", "continuous", False), ("MysteryPath-Easy-v0", "continuous", True),
        ("MysteryPath-Grid-v0", "grid", False), ("MysteryPath-Grid-Easy-v0", "grid", True),
    ],
)  # fmt: skip
def test_an_id_of_mystery_path_sets_its_options(alias, variant, easy):
    name, options = resolve(alias)
    assert alias in ROWS[name].aliases
    world = ENVS[name](**options).dynamics
    assert (world.variant.actions, world.easy, world.obs) == ({"grid": 4, "continuous": 9}[variant], easy, "pixels")
    assert float(world.reward_path_progress) == np.float32(0 if alias == "MysteryPath-Grid-v0" else 0.1)


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
