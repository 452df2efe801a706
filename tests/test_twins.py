"""The fully observed twin of a world, what a memory is worth beside it, and how a policy takes a frame of noise."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.recovery import poisoned, recovery
from romanesco.cli import run
from romanesco.core.actions import Categorical
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Discrete, MultiDiscrete
from romanesco.core.types import Output
from romanesco.core.values import Point
from romanesco.envs import ENVS
from romanesco.lab.build import environment
from romanesco.lab.compose import resolve
from romanesco.study.arms import Arm
from romanesco.study.twins import Twins, sentence


@pytest.mark.parametrize("name", ["tmaze", "tmaze_walk", "tmaze_endless"])
def test_the_twin_shows_the_cue_at_every_step(name):
    shown = {}
    for twin in (False, True):
        (config,) = resolve(None, [f"env={name}", f"env.twin={str(twin).lower()}", "env.corridor_length=5"])
        env = environment(config.env)
        state, ts = env.reset(jax.random.key(0))
        seen, onward = [ts.obs[:2]], {"tmaze": 3, "tmaze_walk": 0, "tmaze_endless": 2}[name]
        for t in range(3):
            state, ts = eqx.filter_jit(env.step)(jax.random.key(t), state, jnp.int32(onward))
            seen.append(ts.obs[:2])
        shown[twin] = np.array(seen)
    assert (shown[True] == shown[False][0]).all() and (shown[False][1:] == 0).all()


def test_hidden_velocities_are_shown_and_what_hides_nothing_refuses():
    (config,) = resolve("cartpole/mlp", ["env.no_velocity=true", "env.twin=true"])
    _, ts = environment(config.env).reset(jax.random.key(0))
    assert (ts.obs != 0).all()
    with pytest.raises(BadInput, match=r"env=cartpole hides nothing.*tmaze.*env.no_velocity=true"):
        resolve("cartpole/mlp", ["env.twin=true"])


def world_of(*words):
    (config,) = resolve(None, list(words))
    return environment(config.env)


@pytest.mark.parametrize("obs", ["symbolic", "pixels"])
def test_the_twin_of_mystery_path_draws_the_path(obs):
    task, twin = (world_of("env=mysterypath", f"env.obs={obs}", f"env.twin={on}") for on in ("false", "true"))
    state, hidden = task.reset(jax.random.key(0))
    seen = np.asarray(twin.reset(jax.random.key(0))[1].obs)
    path = np.asarray(state.s.maze.path)
    if obs == "symbolic":
        assert (seen[: hidden.obs.size] == hidden.obs).all() and (seen[hidden.obs.size :] == path).all()
        assert twin.feature_names[-1] == "path_6_6"
    else:
        changed = (seen != np.asarray(hidden.obs)).any(-1).reshape(7, 12, 7, 12).any((1, 3)).reshape(-1)
        ends = np.isin(np.arange(49), [state.s.maze.start, state.s.maze.goal])
        assert (changed == path & ~ends).all()


def test_a_twin_pays_what_the_task_pays():
    for easy in ("true", "false"):
        task, twin = (world_of("env=mysterypath", f"env.easy={easy}", f"env.twin={on}") for on in ("false", "true"))
        assert twin.dynamics.reward_path_progress == task.dynamics.reward_path_progress


def test_the_twins_of_grids_show_all_and_what_is_held():
    held = world_of("env=grid_keys", "env.view=3", "env.twin=true")
    assert held.observation_space == ENVS["grid_keys"](show_inventory=True).observation_space
    assert world_of("env=grid_rooms", "env.view=3", "env.twin=true").observation_space.shape[0] > 3
    with pytest.raises(BadInput, match="env=grid_rooms hides nothing"):
        world_of("env=grid_rooms", "env.twin=true")


def test_the_twin_of_a_card_game_recalls():
    assert world_of("env=popgym_higher_lower", "env.twin=true").observation_space == (
        Discrete(13),
        MultiDiscrete((5,) * 13),
    )


class Recent(eqx.Module):
    """A policy of the last `k` observations of an episode, and of nothing else."""

    k: int = eqx.field(static=True)

    def init_carry(self):
        return jnp.zeros(self.k)

    def step(self, carry, obs, first):
        carry = jnp.append(jnp.where(first, 0.0, carry)[1:], obs.sum())
        x = carry.sum()
        return carry, Output(Categorical(jnp.stack([x, -x])), Point(x), carry)


@pytest.mark.parametrize("k", [1, 3, 10, 11])
def test_recovery_takes_as_long_as_the_frame_is_remembered(k):
    env = ENVS["tmaze_walk"](corridor_length=21, distractors=0, position="none")  # nothing is seen after the cue
    took, recovers = recovery(jax.random.key(3), env, Recent(k), episodes=4, steps=25)
    assert (np.asarray(recovers) == (k < 11)).all()  # the frame is the 11th of 21 decisions
    if k < 11:
        assert (np.asarray(took) == k).all()


def test_noise_keeps_types_and_what_can_be_done():
    allowed = jnp.array([True, False])
    obs = {"x": jnp.zeros(500), "image": jnp.zeros((8, 8), jnp.uint8), "n": jnp.arange(9), "allowed": allowed}
    noise = poisoned(jax.random.key(0), obs)
    assert {k: v.dtype for k, v in noise.items()} == {k: v.dtype for k, v in obs.items()}
    assert 2.5 < float(noise["x"].std()) < 3.5 and len(np.unique(noise["image"])) > 30
    assert (jnp.sort(noise["n"]) == obs["n"]).all() and (noise["allowed"] == allowed).all()


def test_what_a_memory_is_worth():
    arm = lambda name, *scores: Arm(name, dict(enumerate(scores)), {})
    blind = Twins.of(arm("blind", 0.0, 1.0), arm("t", 4.0, 5.0), arm("n", 4.0, 5.0), (0.0, None))
    whole = Twins.of(arm("whole", 4.0, 4.0), arm("t", 4.0, 4.0), arm("n", 6.0, 6.5), (1.0, 3.0))
    assert (blind.task, blind.twin, blind.gap, blind.bias) == (0.5, 4.5, 4.0, 0.0)
    assert blind.gap_interval and blind.gap_interval[0] > 2 and whole.bias == -2.25
    assert whole.cells()[-2:] == ["100 %", "3"] and blind.cells()[-2:] == ["0 %", "-"]
    said = sentence([blind, whole])
    assert said == (
        "blind loses by what the world hides; of whole no such loss is shown; where nothing is hidden, the memory of "
        "whole costs return."
    )


@pytest.mark.slow
def test_compare_trains_what_is_missing_on_the_twin_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = ["env=tmaze_walk", "env.corridor_length=4", "memory=gru", "encoder=linear", "encoder.width=4", "num_envs=4",
             "algorithm.horizon=8", "total_steps=64", "seeds=2", "eval.episodes=2",
             "eval.final_episodes=20"]  # fmt: skip
    assert run(["train", *sizes, "name=a"]) == 0
    capsys.readouterr()
    assert run(["compare", "--twin", "a", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["arm"] == "tmaze_walk/gru" and told["gap"] == pytest.approx(told["twin"] - told["task"])
    twin, none = tmp_path / "runs/tmaze_walk/gru/a-twin", tmp_path / "runs/tmaze_walk/none/a-twin-none"
    assert "twin: true" in (twin / "config.yaml").read_text()
    before = [(p / "results.json").stat().st_mtime_ns for p in (twin, none)]
    assert run(["compare", "--twin", "a"]) == 0
    assert [(p / "results.json").stat().st_mtime_ns for p in (twin, none)] == before
    assert "observability gap" in capsys.readouterr().out
    assert run(["compare", "--twin", "a-twin"]) == 2
    assert "is a run on the twin itself" in capsys.readouterr().err
