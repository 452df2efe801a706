"""The collector obeys its laws under every kind of memory, and counts the episodes that end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants.learner import BROKEN

from romanesco.agent.rollout import collect, scores, start
from romanesco.laws import collector
from romanesco.laws.collector import CELLS, LAWS, case


@pytest.mark.parametrize("memory", CELLS)
@pytest.mark.parametrize("law", LAWS)
def test_law(law, memory):
    LAWS[law](collect, memory)


@pytest.mark.parametrize(("mutant", "law"), [(m, law) for m, laws, law in BROKEN if laws is collector.LAWS])
def test_mutant_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        LAWS[law](mutant)


def test_every_law_has_a_mutant():
    assert set(LAWS) == {law for _, laws, law in BROKEN if laws is collector.LAWS}


def test_tally_counts_each_end_once_and_sums_its_metrics():
    env, agent = case("tmaze", "none")
    play = jax.jit(collect, static_argnums=4)
    streams = start(jax.random.key(0), env, agent, 8)
    _, rollout, tally = play(jax.random.key(1), env, agent, streams, 20)
    steps = jax.tree.map(np.asarray, rollout.steps)
    returns, lengths, total, count = [], [], np.zeros(8), np.zeros(8)
    for t in range(1, 21):
        total, count = (np.where(steps.first[t], 0, x) for x in (total + steps.reward[t], count + 1))
        returns += [*total[steps.last[t]]]
        lengths += [*count[steps.last[t]]]
    assert tally.episodes == len(returns) > 8
    np.testing.assert_allclose(tally.sums["return"], np.sum(returns), rtol=1e-5)
    np.testing.assert_allclose(tally.sums["length"], np.sum(lengths), rtol=1e-6)


def test_a_world_with_its_own_success_keeps_it():
    env, _ = case("tmaze", "none")
    state, _ = env.reset(jax.random.key(0))
    assert env.threshold is None and "success" in scores(env, state)


def test_streams_start_apart():
    env, agent = case("probe8", "none")
    ts = start(jax.random.key(0), env, agent, 8).ts
    assert ts.first.all() and len(np.unique(ts.obs)) == 8 and not jnp.any(ts.last)
