"""Atari games: three ways to play one are one stream, the protocols, what is refused. Skipped without the extra."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import VectorEnv

pytest.importorskip("ale_py", reason='Atari needs the extra: pip install -e ".[atari]"')

from romanesco.core.errors import BadInput
from romanesco.envs.ale import PROTOCOLS, Lives, atari
from romanesco.envs.arcade import DUELS, emulator, library, rom
from romanesco.envs.table import resolve
from romanesco.lab.compose import resolve as composed
from romanesco.laws.host import LAWS


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def episode(env, actions):
    """One stream until its first end -> rewards, discounts, observations of every step."""
    steps = [env.reset(keys(1, 3))]
    for action in actions:
        steps.append(env.step(keys(1), np.array([action])))
        if steps[-1].last[0]:
            break
    env.close()
    return [np.stack([getattr(ts, name)[0] for ts in steps]) for name in ("reward", "discount", "obs")]


@pytest.mark.parametrize(("game", "actions"), [("pong", 6), ("breakout", 4), ("ms_pacman", 9)])
def test_the_vector_environment_plays_as_ale_v5_does(game, actions):
    """Rewards, ends and screens of one random episode; without sticky actions nothing else is random."""
    drawn = np.random.default_rng(0).integers(actions, size=1000)
    native = atari(game, sticky=0.0).streams(1)
    assert native.action_space.n == actions
    rewards, discounts, screens = episode(native, drawn)
    alone = emulator(game, obs="pixels", sticky=0.0, noops=0, max_steps=27_000)
    name = library().registration.rom_id_to_name(game)
    bare = gymnasium.make(f"ALE/{name}-v5", repeat_action_probability=0.0)
    seen = [alone.reset(seed=0)[0]]
    bare.reset(seed=0)
    for t, action in enumerate(drawn[: len(rewards) - 1], 1):
        obs, reward, over, cut, _ = alone.step(action)
        seen.append(obs)
        told = bare.step(action)
        assert (reward, over, cut) == told[1:4] == (rewards[t], discounts[t] == 0, False), t
    assert over and len(rewards) > 100
    np.testing.assert_array_equal(np.stack(seen), screens)


def test_the_cap_is_a_truncation():
    for settings in ({}, {"obs": "ram"}):
        rewards, discounts, seen = episode(atari("pong", max_steps=5, **settings).streams(1), [0] * 9)
        assert len(rewards) == 6 and discounts[-1] == 1
        assert seen.shape[1:] == ((128,) if settings else (4, 84, 84)) and seen.dtype == np.uint8


@pytest.mark.parametrize("law", ["E1", "E2", "H4"])
def test_law_on_screens(law):
    LAWS[law](lambda n, vectorization: atari("breakout", protocol="classic", max_steps=50, num_envs=n))


@pytest.mark.slow
def test_emulators_of_their_own_are_the_same_in_other_processes():
    LAWS["H5"](
        lambda n, vectorization: atari("breakout", obs="ram", max_steps=50, vectorization=vectorization, num_envs=n)
    )


def test_a_lost_life_ends_an_episode_of_training_and_the_game_goes_on():
    world = atari("breakout", protocol="classic", num_envs=2)
    assert [type(t).__name__ for t in world.transforms] == ["RewardClip"]
    env, judge = world.streams(2), world.judged(2)
    env.reset(keys(2))
    lives = []
    for _ in range(400):
        ts = env.step(keys(2), np.zeros(2, int))
        lives += [(int(env.metrics()["lives"][0]), float(ts.discount[0]))] if ts.last[0] else []
    assert lives[:6] == [(4, 0.0), (3, 0.0), (2, 0.0), (1, 0.0), (0, 0.0), (4, 0.0)]
    judge.reset(keys(2))
    ends = [int(judge.metrics()["lives"][0]) for _ in range(400) if judge.step(keys(2), np.ones(2, int)).last[0]]
    assert ends and set(ends) == {0}


def test_the_step_that_begins_a_life_presses_fire():
    class Told(VectorEnv):
        num_envs, told = 2, []

        def reset(self):
            return np.zeros(2), {"lives": np.array([3, 3])}

        def step(self, actions):
            self.told.append(actions.tolist())
            lives = np.array([3, 3]) if len(self.told) == 1 else np.array([2, 3])
            return np.zeros(2), np.zeros(2), np.zeros(2, bool), np.zeros(2, bool), {"lives": lives}

    inner = Told()
    env = Lives(inner, begin=1)
    env.reset()
    ends = [env.step(np.array([2, 2]))[2].tolist() for _ in range(4)]
    assert ends == [[False, False], [True, False], [False, False], [False, False]]
    assert inner.told == [[2, 2], [2, 2], [1, 2], [2, 2]]


def test_rewards_are_clipped_for_the_learner_and_raw_in_scores():
    world = atari("ms_pacman", protocol="classic")
    ts = world.streams(1).reset(keys(1))
    ten = jax.tree.map(lambda x: x[0], ts)
    ten = type(ten)(ten.obs, np.float32(10), ten.discount, ten.first, ten.last)
    (clip,) = world.transforms
    assert clip.after(keys(1)[0], (), ten)[1].reward == 1
    env, pays = world.judged(1), []
    env.reset(keys(1))
    for _ in range(110):
        pays.append(float(env.step(keys(1), np.array([2])).reward[0]))
    assert max(pays) == 10 and env.metrics()["return"][0] == sum(pays)


def test_seeds_belong_to_streams():
    def lived(n, at):
        env = atari("breakout", num_envs=n).streams(n)
        env.reset(keys(3)[:n] if at == 0 else keys(3)[at : at + n])
        return [env.step(keys(n), np.full(n, t % 4)).obs for t in range(30)]

    three, alone = lived(3, 0), lived(1, 2)
    assert all(np.array_equal(a[2], b[0]) for a, b in zip(three, alone, strict=True))


@pytest.mark.parametrize(
    ("name", "id"),
    [("ALE/Breakout-v5", "breakout"), ("atari/ms_pacman", "ms_pacman"), ("ALE/MsPacman-v5", "ms_pacman"),
     ("atari:pong", "pong"), ("gymnasium:ALE/Pong-v5", "pong")],
)  # fmt: skip
def test_names(name, id):
    assert resolve(name) == ("atari", {"id": id}) and rom(id) == id


@pytest.mark.parametrize("name", ["BreakoutNoFrameskip-v4", "Breakout-v0", "Breakout-ramDeterministic-v4"])
def test_names_of_old_are_refused_with_todays(name):
    with pytest.raises(BadInput, match=f"unknown environment `{name}`; did you mean `ALE/Breakout-v5`"):
        resolve(name)


def test_every_name_of_the_library_is_understood():
    ale = library()
    for id in set(ale.roms.get_all_rom_ids()) - set(DUELS):
        name = ale.registration.rom_id_to_name(id)
        assert rom(resolve(f"ALE/{name}-v5")[1]["id"]) == rom(name) == id


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"id": "brekout"}, "env.id=brekout: no such game; did you mean `breakout`"),
     ({"id": "combat"}, "for two players only"),
     ({"obs": "ram", "protocol": "classic"}, "lives that end episodes need env.obs=pixels.*protocol=v5"),
     ({"obs": "ram", "vectorization": "native"}, "shows screens only")],
)  # fmt: skip
def test_what_cannot_be_played_is_refused(settings, said):
    with pytest.raises(BadInput, match=said):
        atari(**settings)


@pytest.mark.slow
def test_a_preset_starts(tmp_path):
    import romanesco as rm

    (config,) = composed("atari/cnn", ["env=atari/pong", "seeds=1"])
    assert config.env.id == "pong" and set(PROTOCOLS) == {"v5", "classic"}
    sizes = ("num_envs=2", "algorithm.horizon=4", "algorithm.minibatches=1", "algorithm.epochs=1", "eval.every=never")
    run = rm.train("atari/cnn", *sizes, "env=atari/pong", "env.max_steps=8", "encoder.width=8", total_steps=8,
                   seeds=1, root=tmp_path)  # fmt: skip
    assert run.results["task"] == "atari"
