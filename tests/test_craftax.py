"""Craftax: our steps are the library's, the clock is ours, scores are by hand. Skipped without the extra."""

import functools
import importlib.util
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import describe
from romanesco.envs import craftax as ours
from romanesco.envs.craftax import craftax
from romanesco.envs.table import ROWS, resolve

INSTALLED = importlib.util.find_spec("craftax")
needs = pytest.mark.skipif(not INSTALLED, reason='Craftax needs the extra: pip install -e ".[craftax]"')
STEPS, LIMIT = 12, 7


@functools.partial(jax.jit, static_argnums=0)
def lived(env, key):
    """Random steps of one stream: what we say, and what the library says of the same state, key and action."""
    dynamics = env.dynamics

    def step(state, key):
        k_act, k_env = jax.random.split(key)
        action = jax.random.randint(k_act, (), 0, env.action_space.n)
        _, k_step, _ = jax.random.split(k_env, 3)
        obs, _, reward, done, info = dynamics.world.step_env(k_step, state.s, action, dynamics.world.default_params)
        state, ts = env.step(k_env, state, action)
        return state, (ts, env.metrics(state), (obs, reward, done, info))

    state, begun = env.reset(key)
    return begun, jax.lax.scan(step, state, jax.random.split(key, STEPS))[1]


@needs
@pytest.mark.slow
def test_steps_are_the_librarys_and_the_clock_is_ours():
    env = craftax(variant="classic", max_steps=LIMIT)
    begun, (ts, metrics, (obs, reward, done, info)) = jax.device_get(lived(env, jax.random.key(0)))
    inside = np.arange(STEPS) != LIMIT  # the step after the limit begins anew
    np.testing.assert_array_equal(ts.obs[inside], obs[inside])
    np.testing.assert_array_equal(ts.reward[inside], np.float32(reward[inside]))
    assert begun.first and begun.obs.shape == (1345,) and begun.obs.dtype == np.float32 and not done.any()
    assert np.flatnonzero(ts.last).tolist() == [LIMIT - 1] and (ts.discount == 1).all()
    assert np.flatnonzero(ts.first).tolist() == [LIMIT] and (ts.obs[LIMIT] != begun.obs).any()
    assert metrics["length"][LIMIT - 1] == LIMIT and len(metrics) == 3 + 22
    assert set(info) == {*(f"Achievements/{name[12:]}" for name in metrics if "/" in name), "score", "discount"}


@needs
def test_spaces_of_classic():
    env = craftax(variant="classic")
    assert (env.max_steps, describe(env.observation_space), env.action_space.n) == (10_000, "Box(1345,) float32", 17)


@needs
def test_death_terminates_and_the_librarys_limit_does_not():
    dynamics = craftax(variant="classic").dynamics
    lava, health = np.zeros((4, 4), np.int32), np.int32(9)
    alive = types.SimpleNamespace(timestep=10**6, map=lava, player_position=np.array([1, 1]), player_health=health)
    over = lambda s: bool(dynamics.world.is_terminal(s, dynamics._params()))
    assert not over(alive)
    alive.player_health = np.int32(0)
    assert over(alive)


@needs
@pytest.mark.parametrize(("variant", "count"), [("classic", 22), ("symbolic", 67)])
def test_scores_by_hand(variant, count):
    env = craftax(variant=variant)
    names, points = ours._achievements(variant == "classic")
    assert len(names) == count and sorted(names.values()) == list(range(count))
    reached = np.zeros(count, bool)
    reached[[names["collect_wood"], names["place_table"]]] = True
    told = env.dynamics.metrics(types.SimpleNamespace(achievements=jnp.asarray(reached)))
    assert told["achievement/collect_wood"] and not told["achievement/collect_coal"]
    if variant == "classic":
        assert np.isclose(told["score"], 101 ** (2 / 22) - 1)
    else:
        assert points.sum() == 226 and np.isclose(told["score"], 100 * 2 / 226)
        row = ROWS["craftax"]
        assert (row.observation, row.limit) == (describe(env.observation_space), env.max_steps)


@pytest.mark.parametrize(
    ("id", "variant"),
    [("Craftax-Classic-Symbolic-v1", "classic"), ("Craftax-Pixels-v1", "pixels"),
     ("Craftax-Classic-Pixels-v1", "classic_pixels")],
)  # fmt: skip
def test_names(id, variant):
    assert resolve(id) == ("craftax", {"variant": variant}) and ours.VARIANTS[variant][0] == id
    assert resolve("Craftax-Symbolic-v1") == ("craftax", {}) and ours.VARIANTS["symbolic"][0] == "Craftax-Symbolic-v1"


def test_without_the_library_the_extra_is_named(monkeypatch):
    ours._world.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r'pip install -e "\.\[craftax\]"'):
        craftax()


SETTINGS = {  # subho406/agalite@8072a1e config_pure/craftax
    "agalite": {"eta": 8, "basis": "quadrature"}, "agalite_published": {"eta": 8, "basis": "reference", "channels": 2},
    "gtrxl128": {"window": 129}, "gtrxl128_published": {"window": 129, "query_norm": False}, "gru": {"units": 512},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_presets_are_the_published_ones(name):
    from romanesco.lab.compose import resolve as composed

    (c,) = composed(f"craftax/{name}")
    a = c.algorithm
    assert (c.num_envs, a.horizon, c.total_steps, a.learning_rate, a.anneal) == (
        1024, 128, 10**9, 4e-4, ["learning_rate"],
    )  # fmt: skip
    assert (a.epochs, a.minibatches, a.gamma, a.lam, a.clip, a.value_clip) == (4, 8, 0.99, 0.8, 0.2, 0.2)
    assert (a.entropy_cost, a.value_cost, a.max_grad_norm, a.adam_eps) == (0.01, 0.5, 1.0, 1e-5)
    assert (c.encoder.hidden, c.agent.actor_hidden, c.agent.act, c.seeds) == ([128, 128], [128], "relu", 1)
    assert {key: getattr(c.memory, key) for key in SETTINGS[name]} == SETTINGS[name]
