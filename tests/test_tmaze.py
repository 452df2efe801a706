"""The T-Maze against an independent definition in NumPy, fed with the same cues and the same bits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.envs import ENVS

UP, DOWN, LEFT, RIGHT = range(4)


class Definition:
    """Section 3 of the environment specification, one stream at a time, with injected cue and distractor bits."""

    def __init__(self, L, *, bits=8, limit=1000):
        self.L, self.bits, self.limit = L, bits, limit

    def observation(self, cue, noise):
        gray = np.binary_repr(self.cell ^ (self.cell >> 1), self.bits)
        return np.array([*cue, *(int(bit) for bit in gray), *noise], np.float32)

    def start(self, cue):
        self.cell, self.cue, self.t = 0, cue, 0
        return self.observation([0, 1] if cue == UP else [1, 0], [0] * 6)

    def act(self, action, noise):
        """-> observation, reward, terminated, cut off."""
        self.t += 1
        turned = self.cell == self.L - 1 and action in (UP, DOWN)
        reward = (4 if action == self.cue else -1) if turned else -0.1
        if self.cell < self.L - 1 and action == RIGHT:
            self.cell += 1
        elif 0 < self.cell < self.L - 1 and action == LEFT:
            self.cell -= 1
        return self.observation([0, 0], noise), reward, turned, self.t == self.limit and not turned


@jax.jit
def play(env, key, actions):
    """One stream under the given actions -> steps [T+1], metrics [T]."""

    def tick(state, x):
        state, ts = env.step(x[0], state, x[1])
        return state, (ts, env.metrics(state))

    state, begun = env.reset(key)
    _, (steps, metrics) = jax.lax.scan(tick, state, (jax.random.split(key, len(actions)), actions))
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), begun, steps), metrics


def mostly_right(seed, T):
    return np.random.default_rng(seed).choice(4, T, p=[0.15, 0.15, 0.1, 0.6]).astype(np.int32)


def forward_then(turn, L):
    return np.array([RIGHT] * (L - 1) + [turn], np.int32)


def told(env, key, actions):
    steps, metrics = play(env, key, actions)
    return jax.tree.map(np.asarray, (steps, metrics))


@pytest.mark.parametrize(("L", "limit"), [(2, 1000), (10, 1000), (10, 12), (160, 1000), (256, 1000)])
def test_equals_its_definition(L, limit):
    env = ENVS["tmaze"](corridor_length=L, max_steps=limit)
    actions = mostly_right(L, 3000)
    ts, metrics = told(env, jax.random.key(L), actions)
    world, ended, total = Definition(L, limit=limit), True, 0.0
    for t in range(len(actions) + 1):
        cue, noise = (UP if ts.obs[t, 1] else DOWN), ts.obs[t, 10:]
        assert ts.first[t] == ended
        if ended:
            obs, reward, terminated, cut, total = world.start(cue), 0.0, False, False, 0.0
        else:
            obs, reward, terminated, cut = world.act(actions[t - 1], noise)
            total += reward
        ended = terminated or cut
        np.testing.assert_array_equal(ts.obs[t], obs)
        assert (ts.last[t], ts.discount[t]) == (ended, 0 if terminated else 1)
        np.testing.assert_allclose(ts.reward[t], reward, rtol=1e-6)
        if ended:
            assert metrics["length"][t - 1] == world.t
            assert metrics["reached"][t - 1] == (world.cell == L - 1)
            assert metrics["success"][t - 1] == (terminated and reward == 4)
            np.testing.assert_allclose(metrics["return"][t - 1], total, rtol=1e-4)
    assert ts.last.sum() > 2


@pytest.mark.parametrize("L", [2, 10, 160])
def test_the_right_turn_earns_the_best_return(L):
    env = ENVS["tmaze"](corridor_length=L)
    _, start = env.reset(jax.random.key(0))
    turn = UP if start.obs[1] else DOWN
    ts, metrics = told(env, jax.random.key(0), forward_then(turn, L))
    assert ts.last[-1] and metrics["success"][-1] == 1
    np.testing.assert_allclose(metrics["return"][-1], 4 - 0.1 * (L - 1), rtol=1e-5)


def test_cues_and_distractors_are_fair():
    env = ENVS["tmaze"](corridor_length=2)
    run = jax.vmap(lambda key: play(env, key, jnp.zeros(2, jnp.int32))[0].obs)
    obs = np.asarray(run(jax.random.split(jax.random.key(3), 4000)))
    assert (obs[:, 0, :2].sum(1) == 1).all()
    assert abs(obs[:, 0, 1].mean() - 0.5) < 0.03
    assert (np.abs(obs[:, 1:, 10:].mean((0, 1)) - 0.5) < 0.03).all()
    assert (np.abs(np.corrcoef(np.c_[obs[:, 0, 1], obs[:, 1, 10:], obs[:, 2, 10:]].T) - np.eye(13)) < 0.07).all()


def test_only_the_code_marks_the_junction_and_neighbors_differ_in_one_bit():
    ts, _ = told(ENVS["tmaze"](corridor_length=256), jax.random.key(0), np.full(255, RIGHT, np.int32))
    code = ts.obs[:, 2:10]
    assert len(np.unique(code, axis=0)) == 256
    assert (np.abs(np.diff(code, axis=0)).sum(1) == 1).all()


def test_longer_corridors_get_more_bits():
    env = ENVS["tmaze"](corridor_length=300)
    assert env.observation_space.shape == (17,)
    ts, _ = told(env, jax.random.key(0), np.full(299, RIGHT, np.int32))
    assert len(np.unique(ts.obs[:, 2:11], axis=0)) == 300


def test_countdown_and_none_replace_the_code():
    actions = np.full(10, LEFT, np.int32)
    countdown = ENVS["tmaze"](corridor_length=9, position="countdown", max_steps=10)
    ts, _ = told(countdown, jax.random.key(0), actions)
    np.testing.assert_allclose(ts.obs[:, 2], 1 - np.arange(11) / 10, atol=1e-6)
    assert countdown.observation_space.shape == (9,)
    np.testing.assert_allclose(told(countdown.limited(20), jax.random.key(0), actions)[0].obs[10, 2], 0.5)
    assert ENVS["tmaze"](position="none").observation_space.shape == (8,)


def test_cue_always_is_shown_at_every_step():
    ts, _ = told(ENVS["tmaze"](corridor_length=9, cue="always"), jax.random.key(0), forward_then(UP, 9))
    assert (ts.obs[:, :2] == ts.obs[0, :2]).all() and ts.obs[0, :2].sum() == 1


def test_start_distance_starts_near_the_junction():
    env = ENVS["tmaze"](corridor_length=40, start_distance=3)
    cells = jax.vmap(lambda key: env.reset(key)[0].s.cell)(jax.random.split(jax.random.key(0), 300))
    assert set(np.asarray(cells).tolist()) == {36, 37, 38}


def with_length(env, L):
    return dataclasses.replace(env, dynamics=dataclasses.replace(env.dynamics, corridor_length=L))


def test_a_new_length_is_the_same_program():
    traced = []

    @jax.jit
    def reach(env, key):
        traced.append(key)
        return env.reset(key)[0].s.cell

    for L in (3, 30):
        reach(with_length(ENVS["tmaze"](start_distance=1), jnp.int32(L)), jax.random.key(0))
    assert len(traced) == 1


def test_lengths_are_a_batch_axis():
    env = ENVS["tmaze"](corridor_length=4, start_distance=0)
    lengths, actions = jnp.array([2, 3, 4, 5]), jnp.array([RIGHT] * 4 + [UP])
    batched = jax.vmap(lambda L: play(with_length(env, L), jax.random.key(0), actions)[0])(lengths)
    for i in range(4):
        alone, _ = play(ENVS["tmaze"](corridor_length=int(lengths[i])), jax.random.key(0), actions)
        np.testing.assert_array_equal(batched.obs[i], alone.obs)


def test_the_end_of_the_model_absorbs():
    env = ENVS["tmaze"](corridor_length=2)
    model, key = env.model(), jax.random.key(0)
    state, _ = env.reset(key)
    for action in (RIGHT, UP):
        stepped, real = env.step(key, state, jnp.int32(action))
        state, ts = model.step(key, state, jnp.int32(action))
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), (state, ts), (stepped, real)))
    assert ts.last and ts.discount == 0
    for _ in range(2):
        after, ts = model.step(key, state, jnp.int32(UP))
        assert ts.last and not ts.first and ts.reward == 0 and ts.discount == 1
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), after, state))


def test_pictures_show_walker_cue_and_turn():
    env = ENVS["tmaze"](corridor_length=2)
    state, _ = env.reset(jax.random.key(0))
    pictures = [env.render(state)]
    for action in (RIGHT, UP):
        state, _ = env.step(jax.random.key(1), state, jnp.int32(action))
        pictures.append(env.render(state))
    shown = [np.asarray(p) for p in pictures]
    assert all(p.shape == (48, 240, 3) and p.dtype == np.uint8 for p in shown)
    yellow = [(p == [242, 190, 60]).all(-1).any() for p in shown]
    turned = [((p == [88, 168, 92]).all(-1) | (p == [200, 80, 72]).all(-1)).any() for p in shown]
    assert (yellow, turned) == ([True, False, False], [False, False, True])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"corridor_length": 1}, "corridor_length=1"),
        ({"corridor_length": 300, "position_bits": 8}, "position_bits=8 .* set position_bits=9"),
        ({"corridor_length": 10, "start_distance": 10}, "start_distance=10: allowed are 0..9"),
        ({"position": "grey"}, "position=grey: .* did you mean `gray`"),
        ({"cue": "never"}, "cue=never: allowed are first, always"),
        ({"max_steps": 0}, "max_steps=0"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        ENVS["tmaze"](**settings)


def test_the_limit_leaves_time_for_a_long_corridor():
    assert [ENVS["tmaze"](corridor_length=L).max_steps for L in (2, 500, 1024)] == [1000, 1000, 2048]
    assert ENVS["tmaze_walk"](corridor_length=1500).max_steps >= 1500
    with pytest.raises(BadInput, match="max_steps=null: position=countdown"):
        ENVS["tmaze"](position="countdown").limited(None)
