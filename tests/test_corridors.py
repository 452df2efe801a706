"""The T-Maze's kin against definitions in NumPy: walking on without a choice, and corridor after corridor."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_tmaze import play

from romanesco.core.errors import BadInput
from romanesco.envs import ENVS

UP, DOWN, FORWARD = range(3)


def cue_of(obs):
    return {(0, 1): UP, (1, 0): DOWN, (0, 0): None}[tuple(obs[:2].astype(int))]


def place(obs):
    code, cell = obs[2:10].astype(int), 0
    for bit in code:  # Gray: each bit is the parity of the binary ones above it
        cell = 2 * cell + (bit ^ (cell & 1))
    return cell


@pytest.mark.parametrize("L", [2, 7])
def test_a_walk_lasts_as_long_as_its_corridor_and_only_its_last_action_counts(L):
    actions = np.random.default_rng(L).integers(0, 2, 60).astype(np.int32)
    ts, metrics = jax.device_get(play(ENVS["tmaze_walk"](corridor_length=L), jax.random.key(L), actions))
    cue, t, outcomes = None, 0, []
    for n in range(61):
        if ts.first[n]:
            cue, t = cue_of(ts.obs[n]), 0
            assert cue is not None and place(ts.obs[n]) == 0 and not ts.last[n]
            continue
        t += 1
        assert cue_of(ts.obs[n]) is None and place(ts.obs[n]) == min(t, L - 1)
        assert ts.last[n] == (t == L) and ts.discount[n] == (t < L)
        right = actions[n - 1] == cue
        assert ts.reward[n] == ((4 if right else -1) if t == L else 0)
        if t == L:
            assert (metrics["success"][n - 1], metrics["reached"][n - 1]) == (right, 1)
            outcomes.append(right)
    assert 0 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize("lengths", ["fixed", "uniform"])
@pytest.mark.parametrize("corridors", [2, 0])
def test_each_corridor_has_a_cue_of_its_own(lengths, corridors):
    env = ENVS["tmaze_endless"](corridor_length=4, corridors=corridors, lengths=lengths, max_steps=40)
    rng, T = np.random.default_rng(0), 600
    cues, t, solved = [], 0, 0
    state, ts = eqx.filter_jit(env.reset)(jax.random.key(1))
    step, told = eqx.filter_jit(env.step), eqx.filter_jit(env.metrics)
    cell, cue, ends, seen = 0, cue_of(np.asarray(ts.obs)), 0, set()
    for n in range(T):
        there = bool(ts.obs[10])
        right = rng.random() < 0.85
        action = (cue if right else 1 - cue) if there and rng.random() < 0.8 else int(rng.choice([FORWARD, UP, DOWN]))
        if bool(ts.last):
            t, solved, ends = -1, 0, ends + 1
        state, new = step(jax.random.fold_in(jax.random.key(2), n), state, jnp.int32(action))
        obs = np.asarray(new.obs)
        t += 1
        if bool(new.first):
            assert float(new.reward) == 0 and place(obs) == 0
            cell, cue = 0, cue_of(obs)
        elif there and action in (UP, DOWN):
            assert float(new.reward) == (action == cue)
            solved += action == cue
            over = action != cue or solved == corridors
            assert float(new.discount) == (not over)
            metrics = told(state)
            assert float(metrics["corridors_solved"]) == solved
            if over:
                assert bool(new.last) and float(metrics["success"]) == (action == cue)
            elif not bool(new.last):
                assert place(obs) == 0 and cue_of(obs) is not None
                cell, cue = 0, cue_of(obs)
                cues.append(cue)
        else:
            cell += action == FORWARD and not there
            assert float(new.reward) == pytest.approx(-0.01) and place(obs) == cell
            assert (cue_of(obs) is None) == (cell > 0) and float(new.discount) == 1
        if bool(obs[10]):
            seen.add(cell)
        assert bool(new.last) == (t == 40 or float(new.discount) == 0)
        ts = new
    assert set(cues) == {UP, DOWN} and ends > 3
    assert seen == ({3} if lengths == "fixed" else {0, 1, 2, 3})


def test_its_limit_grows_with_its_corridors():
    limit = lambda **settings: ENVS["tmaze_endless"](**settings).max_steps
    assert (limit(), limit(corridor_length=9, corridors=8), limit(max_steps=7)) == (4830, 480, 7)


@pytest.mark.parametrize("wrong", [{"corridor_length": 1}, {"corridors": -1}, {"lengths": "unifrom"}])
def test_bad_settings_are_named(wrong):
    (name,) = wrong
    with pytest.raises(BadInput, match=f"{name}="):
        ENVS["tmaze_endless"](**wrong)
