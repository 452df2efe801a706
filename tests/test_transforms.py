"""Transforms against slow loops, and what they refuse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete
from romanesco.core.types import TimeStep
from romanesco.envs import ENVS
from romanesco.envs.acting import RescaleActions
from romanesco.envs.around import Wrapped
from romanesco.envs.seeing import NoVelocity, Stack
from romanesco.envs.settings import apply, transforms_of
from romanesco.envs.transforms import after, before


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
    chosen = transforms_of(
        Box((4,)), Box((1,), np.float32, -2, 2), velocities=(1,), rescale_actions=True, no_velocity=True, stack=2
    )
    assert [type(t).__name__ for t in chosen] == ["RescaleActions", "NoVelocity", "Stack"]


T, K = 40, jax.random.key(0)
BODY, FLAT = Box((3,), np.float32, -4, 4), Discrete(4)


def stream(seed=0):
    """-> steps [T] of episodes of 1 to 9 steps, and the actions [T] after them."""
    draw = np.random.default_rng(seed)
    last = draw.random(T) < 0.2
    first = np.concatenate([[True], last[:-1]])
    last &= ~first
    first = np.concatenate([[True], last[:-1]])
    obs, reward = draw.uniform(-4, 4, (T, 3)), np.where(first, 0, draw.normal(size=T) * 3)
    steps = TimeStep(*(x.astype(np.float32) for x in (obs, reward, np.ones(T))), first, last)
    return steps, draw.integers(0, 4, T).astype(np.int32)


def through(observation=BODY, action=FLAT, world=None, actions=None, **settings):
    """-> actions as the world gets them, and steps as the agent does; keys are those of `keys`."""
    chain = transforms_of(observation, action, **settings)
    assert len(chain) == 1
    steps, drawn = stream()
    steps, actions = world or steps, drawn if actions is None else actions

    @jax.jit
    def run(steps, actions):
        def tick(ws, x):
            t, ts, action = x
            ws, told = after(chain, jax.random.fold_in(K, 2 * t), ws, ts)
            ws, action = before(chain, jax.random.fold_in(K, 2 * t + 1), ws, action)
            return ws, (action, told)

        return jax.lax.scan(tick, tuple(t.init() for t in chain), (jnp.arange(T), steps, actions))[1]

    return jax.tree.map(np.asarray, run(steps, actions))


def keys(entering):
    """[T] keys that the only transform gets, on the way in or out."""
    return [jax.random.fold_in(jax.random.fold_in(K, 2 * t + entering), 0) for t in range(T)]


def test_sticky_repeats_the_executed_action_within_an_episode():
    steps, actions = stream()
    executed, _ = through(sticky=0.6)
    wanted, fresh = [], True
    for t in range(T):
        fresh = fresh or steps.first[t]
        stuck = not fresh and float(jax.random.uniform(keys(True)[t])) < np.float32(0.6)
        wanted.append(wanted[-1] if stuck else actions[t])
        fresh = steps.last[t]  # the action at a `last` is no one's
    live = ~steps.last
    np.testing.assert_array_equal(executed[live], np.array(wanted)[live])
    assert (executed != actions).sum() > 5


@pytest.mark.parametrize("space", [FLAT, Discrete(4, start=2), Box((2,), np.float32, 0.5, 3)], ids=["0", "2", "box"])
def test_action_delay_is_a_queue_that_each_episode_begins_anew(space):
    steps, k = stream()[0], 2
    actions = np.random.default_rng(1).integers(2, 4, (T, *space.shape)).astype(space.dtype)
    executed, _ = through(action=space, actions=actions, action_delay=k)
    begun = 0
    for t in range(T):
        begun = t if steps.first[t] else begun
        rest = 0.5 if isinstance(space, Box) else space.start
        np.testing.assert_array_equal(executed[t], actions[t - k] if t - k >= begun else rest)


def test_obs_delay_shows_an_episodes_own_past():
    steps, _ = stream()
    _, told = through(obs_delay=2)
    begun = 0
    for t in range(T):
        begun = t if steps.first[t] else begun
        np.testing.assert_array_equal(told.obs[t], steps.obs[max(t - 2, begun)])


def test_dropout_hides_numbers_and_keeps_choices():
    space = {"x": BODY, "choice": Discrete(5)}
    steps, _ = stream()
    world = TimeStep({"x": steps.obs, "choice": np.full(T, 4, np.int32)}, *jax.tree.leaves(steps)[1:])
    _, told = through(space, world=world, obs_dropout=0.3)
    hidden = np.stack([np.asarray(jax.random.uniform(jax.random.fold_in(key, 1), (3,))) < 0.3 for key in keys(False)])
    np.testing.assert_array_equal(told.obs["x"], np.where(hidden, 0, steps.obs))
    assert 0.15 < hidden.mean() < 0.45 and (told.obs["choice"] == 4).all()


@pytest.mark.parametrize("scale", [(), (1.0, 0.0, 3.0)])
def test_noise_has_the_deviation_asked_for(scale):
    steps, _ = stream()
    _, told = through(obs_noise=0.5, obs_scale=scale)
    drawn = np.stack([np.asarray(jax.random.normal(jax.random.fold_in(key, 0), (3,))) for key in keys(False)])
    np.testing.assert_allclose(told.obs, steps.obs + 0.5 * drawn * (scale or 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("action", [FLAT, MultiDiscrete((2, 4)), Box((2,), np.float32, 0, 3)], ids=["d", "m", "box"])
def test_previous_action_and_reward_are_shown(action):
    steps, _ = stream()
    actions = np.random.default_rng(1).integers(0, 2, (T, *action.shape)).astype(action.dtype)
    _, told = through(action=action, actions=actions, show_previous=True)
    eye = {FLAT: lambda a: np.eye(4)[a], MultiDiscrete((2, 4)): lambda a: np.r_[np.eye(2)[a[0]], np.eye(4)[a[1]]]}
    for t in range(T):
        shown = (
            0 * eye.get(action, np.asarray)(actions[t])
            if steps.first[t]
            else eye.get(action, np.asarray)(actions[t - 1])
        )
        np.testing.assert_array_equal(told.obs["action"][t], shown)
    np.testing.assert_array_equal(told.obs["reward"][:, 0], steps.reward)
    np.testing.assert_array_equal(told.obs["obs"], steps.obs)


def test_reward_delay_pays_all_at_intervals_and_ends():
    steps, _ = stream()
    _, told = through(reward_delay=3)
    owed, age = 0.0, 0
    for t in range(T):
        owed, age = (0.0, 0) if steps.first[t] else (owed + steps.reward[t], age + 1)
        pay = age == 3 or steps.last[t]
        np.testing.assert_allclose(told.reward[t], owed if pay else 0, atol=1e-5)
        owed, age = (0.0, 0) if pay else (owed, age)


def test_reward_scale_and_clip():
    steps, _ = stream()
    np.testing.assert_allclose(through(reward_scale=0.1)[1].reward, 0.1 * steps.reward, rtol=1e-6)
    np.testing.assert_array_equal(through(reward_clip=1.0)[1].reward, np.clip(steps.reward, -1, 1))


def test_action_repeat_sums_rewards_and_stops_at_the_end():
    world, k = ENVS["tmaze"](corridor_length=3, max_steps=7), 3
    slow, repeat = eqx.filter_jit(world.step), apply(world, action_repeat=k)
    fast = eqx.filter_jit(repeat.step)
    assert repeat.max_steps == 3
    state, ts = repeat.reset(K)
    theirs, told = state, ts
    for t in range(60):
        key, action = jax.random.fold_in(K, t), jnp.int32(t * 7 % 4)
        total, begun = 0.0, bool(told.last)
        for one in jax.random.split(key, k):
            theirs, told = slow(one, theirs, action)
            total += float(told.reward)
            if told.last or begun:
                break
        state, ts = fast(key, state, action)
        assert (bool(ts.first), bool(ts.last), float(ts.discount)) == (begun, bool(told.last), float(told.discount))
        np.testing.assert_allclose(ts.reward, total, rtol=1e-6)
        assert repeat.metrics(state)["length"] == theirs.t


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sticky": 1.5}, "sticky=1.5"),
        ({"action_delay": -1}, "action_delay=-1"),
        ({"obs_delay": -1}, "obs_delay=-1"),
        ({"obs_dropout": 2.0}, "obs_dropout=2.0"),
        ({"obs_noise": -1.0}, "obs_noise=-1.0"),
        ({"obs_noise": 1.0, "obs_scale": (1.0, 2.0)}, r"obs_scale: 2 numbers for Box\(4,\)"),
        ({"reward_delay": 0}, "reward_delay=0"),
        ({"reward_clip": 0.0}, "reward_clip=0.0"),
        ({"action_repeat": 0}, "action_repeat=0"),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        apply(ENVS["cartpole"](), **settings)


def test_choices_are_neither_hidden_nor_disturbed():
    for setting in ("obs_dropout", "obs_noise"):
        with pytest.raises(BadInput, match=rf"{setting}=0.5: Discrete\(3\) has no"):
            transforms_of(Discrete(3), FLAT, **{setting: 0.5})
    with pytest.raises(BadInput, match="entry `reward` already"):
        transforms_of({"reward": BODY}, FLAT, show_previous=True)


def test_feature_names_outlive_other_bounds():
    world = ENVS["cartpole"]()
    assert apply(world, obs_noise=0.1, obs_delay=1).feature_names == world.feature_names
