"""Classic control: one step from random states is Gymnasium's; limits, numbers, thresholds, pictures."""

import os
import subprocess
import sys

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box
from romanesco.envs import ENVS
from romanesco.envs.pure import PORTS
from romanesco.envs.table import PARAMS, ROWS
from romanesco.laws.environment import LAWS

N = 4000
STATES = {
    "cartpole": {"x": 2.4, "x_dot": 3.0, "theta": 0.209, "theta_dot": 3.0},
    "acrobot": {"joint_angle1": 3.1, "joint_angle2": 3.1, "velocity_1": 4.0, "velocity_2": 6.0},
    "mountaincar": {"position": (-1.2, 0.5), "velocity": 0.07},
    "pendulum": {"theta": 3.1, "theta_dot": 8.0},
    "mountaincar_continuous": {"position": (-1.2, 0.45), "velocity": 0.07},
}
# one float32 step between 1 and 2 is 1.2e-7, and Gymnasium rounds what it shows
TOLERANCE = {
    "cartpole": 3e-7,
    "acrobot": 2e-6,
    "mountaincar": 1.3e-7,
    "pendulum": 2e-6,
    "mountaincar_continuous": 1.3e-7,
}


def random_states(name, rng):
    """-> {leaf: [N]}; every tenth car starts at the wall."""
    ranges = {leaf: r if isinstance(r, tuple) else (-r, r) for leaf, r in STATES[name].items()}
    states = {leaf: rng.uniform(*r, N).astype(np.float32) for leaf, r in ranges.items()}
    if "position" in states:
        states["position"][::10] = -1.2
    return states


def random_actions(space, rng):
    if isinstance(space, Box):
        return rng.uniform(*(b[0] for b in space.bounds), (N, 1)).astype(np.float32)
    return rng.integers(space.n, size=N, dtype=np.int32)


def ours(env, states, actions):
    """-> observation, reward, terminated after one step from each state."""
    dynamics = env.dynamics
    begun = dynamics.init(jax.random.key(0))

    @jax.jit
    @jax.vmap
    def step(state, action):
        after, reward, terminated, _ = dynamics.transition(jax.random.key(0), begun.replace(**state), action)
        return dynamics.observe(jax.random.key(0), after), reward, terminated

    return jax.tree.map(np.asarray, step(states, actions))


def theirs(id, states, actions, numbers=()):
    world = gymnasium.make(id).unwrapped
    world.reset(seed=0)
    for name, x in dict(numbers).items():
        setattr(world, name, x)
    told = []
    for i, action in enumerate(actions):
        world.state = np.array([x[i] for x in states.values()], np.float64)
        world.steps_beyond_terminated = None
        told.append(world.step(int(action) if np.ndim(action) == 0 else action)[:3])
    obs, reward, terminated = (np.array(x) for x in zip(*told, strict=True))
    return obs, reward, terminated


@pytest.mark.parametrize("name", STATES)
def test_one_step_is_gymnasiums(name):
    rng, env = np.random.default_rng(0), ENVS[name]()
    states, actions = random_states(name, rng), random_actions(env.action_space, rng)
    obs, reward, terminated = ours(env, states, actions)
    their_obs, their_reward, their_terminated = theirs(PORTS[name].id, states, actions)
    np.testing.assert_allclose(obs, their_obs, rtol=0, atol=TOLERANCE[name])
    np.testing.assert_allclose(reward, their_reward, rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(terminated, their_terminated)
    assert terminated.any() != (name == "pendulum")


def test_doubled_masspole_changes_what_depends_on_it():
    rng, env = np.random.default_rng(0), ENVS["cartpole"](masspole=0.2)
    states, actions = random_states("cartpole", rng), random_actions(env.action_space, rng)
    numbers = {"masspole": 0.2, "total_mass": 1.2, "polemass_length": 0.1}
    np.testing.assert_allclose(
        ours(env, states, actions)[0], theirs("CartPole-v1", states, actions, numbers)[0], rtol=0, atol=3e-7
    )
    assert np.abs(ours(env, states, actions)[0] - theirs("CartPole-v1", states, actions)[0]).max() > 1e-2


@pytest.mark.parametrize("name", STATES)
def test_spaces_limit_and_threshold_are_gymnasiums(name):
    env, spec = ENVS[name](), gymnasium.spec(PORTS[name].id)
    world = spec.make().unwrapped
    assert (env.max_steps, env.threshold) == (spec.max_episode_steps, spec.reward_threshold)
    np.testing.assert_allclose(
        env.observation_space.bounds, (world.observation_space.low, world.observation_space.high)
    )
    if isinstance(env.action_space, Box):
        np.testing.assert_allclose(env.action_space.bounds, (world.action_space.low, world.action_space.high))
    else:
        assert env.action_space.n == world.action_space.n
    assert ROWS[name].aliases == (spec.id,)


@pytest.mark.parametrize("name", ["mountaincar", "pendulum"])
def test_a_limit_is_a_truncation(name):
    env = ENVS[name](max_steps=5)
    action = jnp.zeros(env.action_space.shape, env.action_space.dtype)
    step = eqx.filter_jit(env.step)
    state, _ = env.reset(jax.random.key(0))
    told = []
    for i in range(6):
        state, ts = step(jax.random.key(i), state, action)
        told.append((bool(ts.last), float(ts.discount), bool(ts.first)))
    assert told == [(False, 1, False)] * 4 + [(True, 1, False), (False, 1, True)]


def test_masses_are_a_batch_axis():
    masses = jnp.array([0.05, 0.1, 0.8])

    def fall(mass):
        env = ENVS["cartpole"]()
        env.dynamics.numbers["masspole"] = mass
        state, _ = env.reset(jax.random.key(0))
        return env.step(jax.random.key(1), state, jnp.int32(1))[1].obs

    batched = jax.vmap(fall)(masses)
    alone = ENVS["cartpole"](masspole=0.8)
    _, ts = alone.step(jax.random.key(1), alone.reset(jax.random.key(0))[0], jnp.int32(1))
    np.testing.assert_allclose(batched[2], ts.obs, rtol=1e-6)
    assert len(np.unique(np.asarray(batched)[:, 1])) == 3


def spread(env):
    return np.asarray(jax.vmap(lambda key: env.reset(key)[1].obs)(jax.random.split(jax.random.key(0), 500)))


def test_starts_spread_as_told():
    assert 0.048 < np.abs(spread(ENVS["cartpole"]())).max() <= 0.05
    assert 0.48 < np.abs(spread(ENVS["cartpole"](init_spread=0.5))).max() <= 0.5
    assert 0.19 < np.abs(spread(ENVS["acrobot"](init_spread=0.2))[:, 4:]).max() <= 0.2
    car = spread(ENVS["mountaincar"](init_low=-0.9, init_high=-0.7))[:, 0]
    assert -0.9 <= car.min() < -0.89 and -0.71 < car.max() <= -0.7


@pytest.mark.parametrize("name", STATES)
def test_pictures_are_gymnasiums(name):
    pytest.importorskip("pygame")
    env = ENVS[name]()
    state, _ = env.reset(jax.random.key(0))
    picture = np.asarray(env.render(state))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2
    for i in range(20):
        action = jnp.full(env.action_space.shape, 1, env.action_space.dtype)
        state, _ = env.step(jax.random.key(i), state, action)
    assert (env.render(state) != picture).any()


def test_a_longer_pole_looks_longer():
    pytest.importorskip("pygame")
    pole = np.array([202, 152, 101])
    seen = [
        (env.render(env.reset(jax.random.key(0))[0]) == pole).all(-1).sum()
        for env in (ENVS["cartpole"](), ENVS["cartpole"](length=1.0), ENVS["cartpole"]())
    ]
    assert seen[1] > 1.5 * seen[0] and seen[2] == seen[0]


@pytest.mark.parametrize(
    ("name", "numbers", "words"),
    [
        ("cartpole", {"masspol": 1.0}, "no parameter `masspol`; did you mean `masspole`"),
        ("acrobot", {"gravity": 1.0}, "no parameter `gravity`.* known: link_length_1"),
        ("cartpole", {"gravity": float("nan")}, "gravity=nan"),
        ("gymnax", {"id": "Catch-bsuit"}, "unknown gymnax id `Catch-bsuit`; did you mean `Catch-bsuite`"),
        ("gymnax", {"id": "MNISTBandit-bsuite"}, "downloads"),
    ],
)
def test_bad_numbers_and_ids_are_refused(name, numbers, words):
    with pytest.raises(BadInput, match=words):
        ENVS[name](**numbers)


def test_every_parameter_has_its_default_inside_its_range():
    for numbers in PARAMS.values():
        assert all(p.low <= p.default <= p.high for p in numbers.values())


def test_any_gymnax_world_keeps_its_stream_and_loses_its_own_limit():
    gymnax = pytest.importorskip("gymnax")
    env, key = ENVS["gymnax"](id="MemoryChain-bsuite", max_steps=4), jax.random.key(0)
    world, params = gymnax.make("MemoryChain-bsuite")
    k_init, _, _ = jax.random.split(key, 3)
    state, ts = env.reset(key)
    obs, theirs = world.reset_env(k_init, params)
    np.testing.assert_array_equal(ts.obs, obs)
    for t in range(1, 5):
        state, ts = env.step(key, state, jnp.int32(1))
        obs, theirs, _, _, _ = world.step_env(jax.random.split(key, 3)[1], theirs, jnp.int32(1), params)
        np.testing.assert_array_equal(ts.obs, obs)  # shown from before the step
        assert (bool(ts.last), float(ts.discount)) == (t == 4, 1.0)


def test_gymnax_dtypes_are_settled_by_the_space():
    env = ENVS["gymnax"](id="FourRooms-misc")
    assert env.max_steps == 500
    LAWS["E1"](env)
    LAWS["E7"](env)


def fresh(code, **env):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_classic_control_imports_little_and_leaves_gymnax_whole():
    code = """
import sys
from romanesco.envs import ENVS
ENVS["cartpole"](), ENVS["acrobot"]()
print("gymnax" in sys.modules, "matplotlib" in sys.modules)
import gymnax
print(gymnax.make("CartPole-v1")[0].name, gymnax.environments.spaces.Box.__name__)
"""
    assert fresh(code) == ["False", "False", "CartPole-v1", "Box"]


def test_names_and_rows_import_no_jax():
    assert fresh("import sys, romanesco.envs.table as t; t.resolve('CartPole-v1'); print('jax' in sys.modules)") == [
        "False"
    ]


def test_x64_changes_no_dtype():
    code = """
import jax
from romanesco.envs import ENVS
from romanesco.envs.table import PURE
from romanesco.agent.uniform import random_action
for name in PURE:
    env, key = ENVS[name](), jax.random.key(0)
    begun = jax.eval_shape(env.reset, key)
    moved = jax.eval_shape(lambda key, state: env.step(key, state, random_action(key, env.action_space)), key, begun[0])
    print(*{str(x.dtype) for x in jax.tree.leaves((begun, moved, env))} - {"int32", "float32", "bool", "uint8"})
"""
    assert fresh(code, JAX_ENABLE_X64="1") == []
