"""The umbrella against gymnax's, grids against slow walks, and lives of several episodes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.envs import ENVS
from romanesco.envs.credit import Weather
from romanesco.envs.grid import MOVES
from romanesco.envs.settings import apply

KEY = jax.random.key(0)


def walked(env, T, seed=0, actions=None):
    """-> states and steps [T+1] of one stream, and the actions [T]."""
    drawn = np.random.default_rng(seed).integers(0, env.action_space.n, T).astype(np.int32)
    actions = drawn if actions is None else np.asarray(actions, np.int32)

    @eqx.filter_jit
    def run(env, actions):
        def tick(state, x):
            said = env.step(jax.random.fold_in(jax.random.key(seed), x[0]), state, x[1])
            return said[0], (*said, env.metrics(said[0]))

        begun = env.reset(jax.random.key(seed))
        metrics = env.metrics(begun[0])
        _, told = jax.lax.scan(tick, begun[0], (jnp.arange(T), actions))
        return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), (*begun, metrics), told)

    return *jax.tree.map(np.asarray, run(env, actions)), actions


def test_the_umbrella_is_gymnaxs():
    gymnax = pytest.importorskip("gymnax")
    theirs, params = gymnax.make("UmbrellaChain-bsuite")
    params = params.replace(chain_length=5)
    ours = ENVS["umbrella"](chain_length=5, noise=1.0, terminal=1.0).dynamics
    begun = theirs.reset_env(KEY, params)[1]

    @jax.jit
    @jax.vmap
    def both(need, have, t, action):
        state = begun.replace(need_umbrella=need, has_umbrella=have, time=t)
        obs, _, reward, done, _ = theirs.step_env(KEY, state, action, params)
        s, paid, terminated, _ = ours.transition(KEY, Weather(need, have, t), action)
        return (obs, reward, done), (ours.observe(KEY, s), paid, terminated)

    cases = np.array(np.meshgrid([0, 1], [0, 1], range(5), [0, 1]), np.int32).reshape(4, -1)
    (obs, reward, done), (seen, paid, terminated) = jax.tree.map(np.asarray, both(*cases))
    np.testing.assert_allclose(seen, obs, rtol=1e-6)
    np.testing.assert_array_equal(terminated, done)
    np.testing.assert_array_equal(paid[done], reward[done])
    assert (np.abs(paid[~done]) == 1).all() and done.sum() == 8


def test_umbrella_rewards_are_fair_noise_and_one_verdict():
    env = ENVS["umbrella"](chain_length=4, distractors=2)
    _, ts, metrics, _ = walked(env, 400)
    on_the_way = ts.reward[~ts.first & ~ts.last]
    assert set(np.abs(on_the_way)) == {0.5} and abs(on_the_way.mean()) < 0.1
    np.testing.assert_array_equal(ts.reward[ts.last], np.where(metrics["success"][ts.last], 10, -10))
    assert 0.4 < ts.obs[:, 3:].mean() < 0.6 and ts.obs.shape[1] == len(env.feature_names) == 5


@pytest.mark.parametrize(("name", "T"), [("grid_rooms", 400), ("grid_keys", 500), ("grid_key_to_door", 300)])
def test_a_grid_is_a_slow_walk(name, T):
    env = ENVS[name](max_steps=ENVS[name]().max_steps and 60)
    states, ts, _, actions = walked(env, T, seed=3)
    walls, s, world = np.asarray(env.dynamics.walls), states.s, env.dynamics
    for t in range(T):
        here, goal = s.place[t], s.place[t] + MOVES[actions[t]]
        assert ts.obs[t][tuple(here)][1] == 1 and ts.obs[t][..., 1].sum() == 1
        np.testing.assert_array_equal(ts.obs[t][..., 0], walls)
        if ts.last[t]:
            continue
        inside = (goal >= 0).all() and (goal < walls.shape).all()
        door = name == "grid_keys" and s.held[t][0] and (goal == s.at[t][2]).all()
        step = goal if inside and (not walls[tuple(goal)] or door) else here
        np.testing.assert_array_equal(s.place[t + 1], step)
        room = np.searchsorted([15, 75, 90], s.t[t], side="right")
        taken = [
            not s.held[t][i] and (s.at[t][i] == step).all() and (name != "grid_key_to_door" or room == [0, 1, 2][kind])
            for i, kind in enumerate(world.kinds)
        ]
        np.testing.assert_array_equal(s.held[t + 1], s.held[t] | taken)
        paid = sum(w for w, hit, kind in zip(s.worth[t], taken, world.kinds, strict=True)
                   if hit and (name != "grid_key_to_door" or kind != 2 or s.held[t][0]))  # fmt: skip
        np.testing.assert_allclose(ts.reward[t + 1], paid, rtol=1e-6)
    assert ts.first.sum() > 2 and (name == "grid_rooms" or (ts.reward != 0).any() or s.held.any())


def test_a_door_opens_with_its_key_and_pays_with_the_exit():
    env = ENVS["grid_keys"](show_inventory=True)
    world, (state, _) = env.dynamics, env.reset(KEY)
    s = eqx.tree_at(lambda s: (s.place, s.at), state.s, (jnp.array([4, 2]), jnp.array([[4, 3], [4, 6], [4, 4]])))
    step = jax.jit(lambda s, a: (world.transition(KEY, s, a), world.observe(KEY, world.transition(KEY, s, a)[0])))
    without, _ = step(eqx.tree_at(lambda s: s.place, s, jnp.array([5, 3])), jnp.int32(3))
    assert without[0].place.tolist() == [5, 3]  # a wall
    told = []
    for _ in range(4):
        (s, reward, terminated, _), obs = step(s, jnp.int32(3))
        told.append((s.place.tolist()[1], float(reward), bool(terminated), obs[0, 0, 5:].tolist()))
    assert told == [
        (3, 0, False, [1, 0, 0]), (4, 0, False, [1, 0, 1]), (5, 0, False, [1, 0, 1]), (6, 1, True, [1, 1, 1])
    ]  # fmt: skip


def test_a_view_is_a_window_with_walls_beyond_the_edge():
    whole, window = ENVS["grid_rooms"](), ENVS["grid_rooms"](view=5)
    (_, ts, _, _), (states, seen, _, _) = walked(whole, 60), walked(window, 60)
    padded = np.stack([np.pad(x, ((2, 2), (2, 2), (0, 0))) for x in ts.obs])
    padded[..., 0] = 1
    padded[:, 2:-2, 2:-2] = ts.obs
    for t, (row, column) in enumerate(states.s.place):
        np.testing.assert_array_equal(seen.obs[t], padded[t, row : row + 5, column : column + 5])
    with pytest.raises(BadInput, match="view=4: an odd number"):
        ENVS["grid_abc"](view=4)


@pytest.mark.parametrize(("name", "kept"), [("grid_rooms", "at"), ("grid_abc", "worth")])
def test_a_life_keeps_its_secret_for_its_episodes(name, kept):
    states, ts, metrics, _ = walked(ENVS[name](life=3, max_steps=5), 120)
    secret = getattr(states.s, kept)
    episode = np.cumsum(ts.first) - 1
    for t in range(1, 121):
        if episode[t] // 3 == episode[t - 1] // 3:
            np.testing.assert_array_equal(secret[t], secret[t - 1])
        elif kept == "worth":
            assert (secret[t] != secret[t - 1]).any()
    np.testing.assert_array_equal(metrics["life_end"], episode % 3 == 2)
    assert episode[-1] > 8 and len(np.unique(states.s.place[ts.first], axis=0)) > 3


def test_a_life_as_an_episode_ends_with_its_last_one():
    world = ENVS["grid_abc"](life=3, max_steps=5)
    (_, plain, metrics, _), (_, told, lived, _) = walked(world, 120), walked(apply(world, life_is_episode=True), 120)
    np.testing.assert_array_equal(told.obs["obs"], plain.obs)
    np.testing.assert_array_equal(told.obs["ended"][:, 0], plain.last)
    np.testing.assert_array_equal(told.reward, plain.reward)
    end = plain.last & (metrics["life_end"] == 1)
    np.testing.assert_array_equal(told.last, end)
    np.testing.assert_array_equal(told.first, np.concatenate([[True], end[:-1]]))
    np.testing.assert_array_equal(told.discount, 1 - end)
    starts = np.flatnonzero(told.first)
    for start, stop in zip(starts, np.flatnonzero(end), strict=False):
        np.testing.assert_allclose(lived["return"][stop], plain.reward[start : stop + 1].sum(), rtol=1e-5, atol=1e-6)
        assert lived["length"][stop] == stop - start


def test_a_repeated_action_stops_where_an_episode_ends_inside_a_life():
    world = apply(ENVS["grid_abc"](life=2, max_steps=6), life_is_episode=True, action_repeat=4)
    _, ts, _, _ = walked(world, 12)
    assert world.max_steps == 2 * 2 + 1
    np.testing.assert_array_equal(ts.obs["ended"][:6, 0], [0, 0, 1, 0, 0, 1])  # 4 and 2 steps, then the next episode
    np.testing.assert_array_equal(ts.last[:6], [0, 0, 0, 0, 0, 1])


def test_lives_need_a_world_that_has_them():
    for world in (ENVS["cartpole"](), ENVS["grid_rooms"]()):
        with pytest.raises(BadInput, match=r"life_is_episode: .*grid_rooms and grid_abc"):
            apply(world, life_is_episode=True)
    with pytest.raises(BadInput, match="life=0"):
        ENVS["grid_rooms"](life=0)
    with pytest.raises(BadInput, match="chain_length=0"):
        ENVS["umbrella"](chain_length=0)


def test_a_grid_can_be_seen():
    env = ENVS["grid_keys"]()
    picture = np.asarray(env.render(env.reset(KEY)[0]))
    assert picture.shape == (144, 144, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) == 6
