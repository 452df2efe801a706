"""Our card games are those of popgym 1.0.7, card by card: recorded episodes, and live ones where it is installed."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from popgym_games import LEVELS, NAMES, played, recorded

from romanesco.core.errors import BadInput
from romanesco.envs import ENVS
from romanesco.envs.popgym import Asked, Deal, Table

KEY = jax.random.key(0)


def replayed(game, level, want):
    """-> what ours shows [T+1], pays and ends [T] on the same cards and actions."""
    env = ENVS[f"popgym_{game}"](difficulty=level)
    world, cards, actions = env.dynamics, jnp.asarray(want["cards"], jnp.int32), jnp.asarray(want["action"], jnp.int32)
    if game == "concentration":
        begun = Table.of(cards)
    elif game == "count_recall":
        begun = Asked(cards, jnp.int32(0), jnp.asarray(want["queries"], jnp.int32))
    else:
        begun = Deal(cards, jnp.int32(0))

    @jax.jit
    def run(begun, actions):
        def tick(s, action):
            s, reward, terminated, _ = world.transition(KEY, s, action)
            return s, (world.observe(KEY, s), reward, terminated)

        return world.observe(KEY, begun), jax.lax.scan(tick, begun, actions)[1]

    first, (obs, reward, terminated) = run(begun, actions)
    seen = jax.tree.map(lambda x, xs: np.concatenate([np.asarray(x)[None], xs]), first, obs)
    return np.stack(seen, -1) if isinstance(seen, tuple) else seen, np.asarray(reward), np.asarray(terminated)


def same(game, level, want):
    obs, reward, terminated = replayed(game, level, want)
    np.testing.assert_array_equal(obs, want["obs"])
    np.testing.assert_allclose(reward, want["reward"], rtol=1e-6)
    np.testing.assert_array_equal(terminated, want["terminated"])
    limit = ENVS[f"popgym_{game}"](difficulty=level).max_steps
    assert want["truncated"].any() == (limit == len(want["action"]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("game", NAMES)
def test_an_episode_is_popgyms(game, level):
    want = recorded(game, level)
    assert (want["reward"] > 0).any() and (want["reward"] < 0).any()
    same(game, level, want)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("popgym"), reason="pip install --no-deps popgym==1.0.7")
@pytest.mark.parametrize("game", NAMES)
def test_fresh_episodes_are_popgyms(game):
    for level in LEVELS:
        same(game, level, played(game, level, seed=1))


def test_a_deal_is_a_whole_deck_in_any_order():
    world = ENVS["popgym_count_recall"]().dynamics
    one, other = (world.init(jax.random.key(seed)) for seed in (0, 1))
    for cards in (one.cards, one.queries, other.cards):
        np.testing.assert_array_equal(np.sort(cards), np.arange(52))
    assert (one.cards != one.queries).any() and (one.cards != other.cards).any()


def remembered(game, level, seen):
    """What is to be remembered of a history of observations, after its last; a slow definition."""
    now, k = seen[-1], {"easy": 4, "medium": 32, "hard": 64}[level]
    if game == "repeat_previous":
        return seen[-k] if len(seen) >= k else 4
    if game == "repeat_first":
        return seen[0]
    if game == "autoencode":
        dealt = next((t + 1 for t, (dealing, _) in enumerate(seen) if not dealing), None)
        asked = dealt and 2 * dealt - len(seen) - 1
        return seen[asked][1] if dealt and asked >= 0 else 4
    if game == "higher_lower":
        return np.bincount(seen, minlength=13)
    if game == "count_recall":
        return sum(dealt == now[1] for dealt, _ in seen)
    hidden = max(map(max, seen))
    return [next((kinds[i] for kinds in seen if kinds[i] != hidden), hidden) for i in range(len(now))]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("game", NAMES)
def test_what_is_recalled_is_what_was_seen(game, level):
    env = ENVS[f"popgym_{game}"](difficulty=level, recall=True)
    T = min(250, env.max_steps or 250)

    @jax.jit
    def run(key):
        def tick(state, key):
            k_act, k_env = jax.random.split(key)
            state, ts = env.step(k_env, state, jax.random.randint(k_act, (), 0, env.action_space.n))
            return state, (ts.obs, ts.last)

        state, begun = env.reset(key)
        return (begun.obs, begun.last), jax.lax.scan(tick, state, jax.random.split(key, T))[1]

    first, rest = run(KEY)
    (seen, told), last = jax.tree.map(lambda x, xs: np.concatenate([np.asarray(x)[None], xs]), first, rest)
    seen = (np.stack(seen, -1) if isinstance(seen, tuple) else seen).tolist()
    end = int(np.argmax(last)) if last.any() else T
    for t in range(end + 1):
        np.testing.assert_array_equal(told[t], remembered(game, level, seen[: t + 1]), err_msg=str(t))


@pytest.mark.parametrize("game", ["repeat_previous", "repeat_first", "autoencode", "count_recall"])
def test_who_says_what_is_recalled_wins_all(game):
    env = ENVS[f"popgym_{game}"](recall=True)

    @jax.jit
    def run(key):
        def tick(at, key):
            state, ts = at
            state, ts = env.step(key, state, jnp.minimum(ts.obs[1], env.action_space.n - 1))
            return (state, ts), (ts.reward, ts.last)

        return jax.lax.scan(tick, env.reset(key), jax.random.split(key, 110))[1]

    reward, last = map(np.asarray, run(KEY))
    assert reward[: np.argmax(last) + 1].sum() == pytest.approx(1, abs=1e-5)


def test_an_unknown_difficulty_is_refused():
    with pytest.raises(BadInput, match="difficulty=eazy; did you mean `easy`"):
        ENVS["popgym_autoencode"](difficulty="eazy")
