"""Transforms against slow loops, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete
from romanesco.core.types import TimeStep
from romanesco.envs import ENVS
from romanesco.envs.transforms import NoVelocity, RescaleActions, Stack, Wrapped, apply, transforms


def play(env, T, seed=0):
    """-> steps [T+1], actions [T] and the metrics of every step, of one stream under random actions."""
    k_reset, k_act, k_env = jax.random.split(jax.random.key(seed), 3)
    actions = jax.random.randint(k_act, (T,), 0, env.action_space.n, jnp.int32)

    def tick(state, x):
        state, ts = env.step(x[0], state, x[1])
        return state, (ts, env.metrics(state))

    state, begun = env.reset(k_reset)
    _, (steps, metrics) = jax.jit(lambda s, x: jax.lax.scan(tick, s, x))(state, (jax.random.split(k_env, T), actions))
    return jax.tree.map(lambda x, xs: np.concatenate([x[None], xs]), begun, steps), metrics


def bare(env):
    """The world as it is, but behind a wrapper: its keys are then those of a transformed one."""
    return Wrapped(env, ())


@pytest.mark.parametrize("name", ["tmaze", "cartpole"])
def test_stack_is_the_last_k_of_this_episode(name):
    world, k = ENVS[name](max_steps=6), 3
    stacked, _ = play(apply(world, stack=k), 60)
    plain, _ = play(bare(world), 60)
    starts = 0
    for t in range(61):
        starts = t if plain.first[t] else starts
        wanted = np.stack([plain.obs[max(t - i, starts)] for i in reversed(range(k))])
        np.testing.assert_array_equal(stacked.obs[t], wanted)
    assert plain.first.sum() > 5


def test_no_velocity_zeroes_and_keeps_the_rest():
    world = ENVS["cartpole"](max_steps=6)
    hidden, metrics = play(apply(world, no_velocity=True), 60)
    plain, plain_metrics = play(bare(world), 60)
    np.testing.assert_array_equal(hidden.obs, plain.obs * [1, 0, 1, 0])
    np.testing.assert_array_equal(metrics["return"], plain_metrics["return"])
    assert apply(world, no_velocity=True).observation_space == world.observation_space


@pytest.mark.parametrize("name", ["cartpole", "acrobot", "mountaincar", "pendulum", "mountaincar_continuous"])
def test_no_velocity_hides_what_is_called_velocity(name):
    world = ENVS[name]()
    assert world.velocities == tuple(i for i, feature in enumerate(world.feature_names) if "velocity" in feature)


def test_rescaled_actions_span_the_bounds():
    world = ENVS["pendulum"]()
    transform = RescaleActions.to(Box((3,), np.float32, [-2, 0, -1], [0, 5, 1]))
    act = lambda x: np.asarray(transform.before(jax.random.key(0), (), jnp.array(x, jnp.float32))[1])
    np.testing.assert_array_equal(act([-1, -1, -1]), [-2, 0, -1])
    np.testing.assert_array_equal(act([1, 1, 1]), [0, 5, 1])
    np.testing.assert_allclose(act([0, 0.5, 0.25]), [-1, 3.75, 0.25])
    assert apply(world, rescale_actions=True).action_space == Box((1,), np.float32, -1.0, 1.0)


def test_rescaled_pendulum_pushes_with_twice_the_number():
    world, key = ENVS["pendulum"](), jax.random.key(0)
    rescaled, watched = apply(world, rescale_actions=True), bare(world)
    state, _ = rescaled.reset(key)
    same, _ = watched.reset(key)
    _, ts = rescaled.step(key, state, jnp.array([0.5]))
    _, wanted = watched.step(key, same, jnp.array([1.0]))
    np.testing.assert_array_equal(ts.obs, wanted.obs)


def test_open_bounds_are_refused_by_component():
    space = Box((3,), np.float32, [-2, 0, -np.inf], [0, 5, 1])
    with pytest.raises(BadInput, match=r"rescale_actions: action component 2 has bounds \[-inf, 1.0\]"):
        RescaleActions.to(space)


def test_rescaling_choices_is_refused():
    with pytest.raises(BadInput, match=r"Discrete\(2\); only a Box"):
        apply(ENVS["cartpole"](), rescale_actions=True)


def test_no_velocity_names_the_worlds_that_have_one():
    with pytest.raises(BadInput, match=r"no_velocity: .* cartpole, acrobot, mountaincar"):
        apply(ENVS["tmaze"](), no_velocity=True)


def test_max_steps_belongs_to_the_clock():
    assert apply(ENVS["cartpole"](), max_steps=9).max_steps == 9
    with pytest.raises(BadInput, match="max_steps=9: Wrapped keeps its own clock"):
        apply(apply(ENVS["cartpole"](), stack=2), max_steps=9)


def test_stack_needs_a_depth():
    with pytest.raises(BadInput, match="stack=0"):
        apply(ENVS["cartpole"](), stack=0)


def test_no_settings_no_wrapper():
    world = ENVS["cartpole"]()
    assert apply(world) is world


def test_stacked_spaces():
    stack = lambda space: Stack.of(2, space).spaces(space, Discrete(2))[0]
    assert stack(Box((3,), np.uint8, 0, 255)) == Box((2, 3), np.uint8, 0, 255)
    assert stack(Discrete(5)) == MultiDiscrete((5, 5))
    assert stack(MultiDiscrete((2, 3))) == MultiDiscrete(((2, 3), (2, 3)))
    with pytest.raises(BadInput, match="start=1"):
        stack(Discrete(5, start=1))


def test_allowed_passes_untouched():
    space = {"x": Box((2,)), "allowed": MultiDiscrete((2, 2))}
    step = TimeStep(
        {"x": jnp.array([3.0, 4.0]), "allowed": jnp.array([1, 0])},
        jnp.float32(0),
        jnp.float32(1),
        jnp.array(True),
        jnp.array(False),
    )
    key, stack, hide = jax.random.key(0), Stack.of(2, space), NoVelocity((1,))
    _, stacked = stack.after(key, stack.init(), step)
    _, hidden = hide.after(key, (), step)
    assert stacked.obs["x"].tolist() == [[3, 4], [3, 4]] and hidden.obs["x"].tolist() == [3, 0]
    assert stacked.obs["allowed"].tolist() == hidden.obs["allowed"].tolist() == [1, 0]
    assert stack.spaces(space, Discrete(2))[0] == {"x": Box((2, 2)), "allowed": space["allowed"]}


def test_wrapped_passes_the_world_through():
    world = ENVS["cartpole"]()
    env = apply(world, no_velocity=True, stack=2)
    assert (env.threshold, env.max_steps, env.params) == (world.threshold, world.max_steps, world.params)
    assert env.feature_names is None and apply(world, no_velocity=True).feature_names == world.feature_names


def test_wrapped_picture_is_the_worlds():
    world = ENVS["tmaze"]()
    env = apply(world, stack=2)
    state, _ = env.reset(jax.random.key(0))
    np.testing.assert_array_equal(env.render(state), world.render(state[0]))


def test_wrapped_model_steps_as_the_world_does():
    env, key = apply(ENVS["cartpole"](), stack=2), jax.random.key(0)
    state, _ = env.reset(key)
    told, wanted = env.model().step(key, state, jnp.int32(1)), env.step(key, state, jnp.int32(1))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), told, wanted))


def test_host_settings_give_the_same_transforms():
    chosen = transforms(
        Box((4,)), Box((1,), np.float32, -2, 2), velocities=(1,), rescale_actions=True, no_velocity=True, stack=2
    )
    assert [type(t).__name__ for t in chosen] == ["RescaleActions", "NoVelocity", "Stack"]
