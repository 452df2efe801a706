"""The reverse curriculum: what it counts, where episodes begin, and that a run goes through its stages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.rollout import Tally
from romanesco.core.errors import BadInput
from romanesco.envs.pure import cartpole
from romanesco.envs.settings import apply
from romanesco.envs.tmaze import tmaze
from romanesco.lab.build import Objects, agent_maker, environment, setup
from romanesco.lab.compose import resolve
from romanesco.learn import train
from romanesco.learn.curriculum import Course, Reverse, placed


@pytest.mark.parametrize(
    ("settings", "distances"),
    [
        ({"corridor_length": 40}, (8, 16, 32, 0)),
        ({"corridor_length": 9}, (0,)),
        ({"corridor_length": 18}, (8, 16, 0)),
        ({"corridor_length": 160, "start_distance": 20}, (8, 16, 20)),
    ],
)
def test_distances_double_up_to_the_plain_task(settings, distances):
    assert Reverse.of(tmaze(**settings)).distances == distances


def test_one_update_of_many_streams_does_not_skip_a_stage():
    assert (Reverse.of(tmaze()).episodes, Reverse.of(tmaze(), num_envs=64).episodes) == (200, 200)
    assert Reverse.of(tmaze(), num_envs=1024).episodes == 2048


def test_a_world_without_a_start_is_refused():
    with pytest.raises(BadInput, match="curriculum=reverse: this world has no start_distance"):
        Reverse.of(cartpole())


def after(course, plan, *blocks):
    """Stage and counts after updates in which (episodes, successes) ended."""
    for episodes, successes in blocks:
        course = course.after(plan, Tally(jnp.float32(episodes), {"success": jnp.float32(successes)}))
    return tuple(float(x) for x in (course.stage, course.episodes, course.successes))


PLAN = Reverse((8, 16, 0))


@pytest.mark.parametrize(
    ("blocks", "stage"),
    [
        ([(199, 199)], (0, 199, 199)),  # not enough to judge
        ([(100, 90), (100, 90)], (1, 0, 0)),
        ([(100, 90), (100, 89)], (0, 0, 0)),  # short of the bar: counting starts anew
        ([(100, 0), (100, 0), (150, 150), (50, 40)], (1, 0, 0)),
        ([(200, 200)] * 5, (2, 0, 0)),  # the last stage stays
    ],
)
def test_a_stage_ends_when_enough_episodes_succeeded(blocks, stage):
    assert after(Course.begin(), PLAN, *blocks) == stage


@pytest.mark.parametrize("settings", [{}, {"stack": 2}, {"max_steps": 50}])
def test_episodes_begin_at_most_that_far_from_the_junction(settings):
    env = apply(tmaze(corridor_length=40), **settings)
    near = placed(env, jnp.int32(8))
    code = lambda obs: np.asarray(obs).reshape(64, -1)[:, -16:][:, 2:10]
    keys = jax.random.split(jax.random.key(0), 64)
    seen = code(jax.vmap(near.reset)(keys)[1].obs)
    gray = {tuple((c ^ (c >> 1)) >> i & 1 for i in range(7, -1, -1)): c for c in range(256)}
    cells = {gray[tuple(int(b) for b in row)] for row in seen}
    assert cells <= set(range(31, 39)) and len(cells) > 4
    assert np.unique(code(jax.vmap(env.reset)(keys)[1].obs), axis=0).shape[0] == 1


@pytest.mark.slow
def test_a_run_goes_through_its_stages():
    faster = ["learning_rate=3e-3", "gamma=0.97", "lam=0.95", "entropy_cost=0.02", "horizon=32", "minibatches=2"]
    words = ["memory=gru", "num_envs=32", *(f"algorithm.{word}" for word in faster), "updates=200"]
    world = ["env.corridor_length=10", "env.max_steps=100", "curriculum=reverse"]
    (config,) = resolve("quickstart", [*words, *world])
    env = environment(config.env)
    told = setup(config, env, Objects())
    make = agent_maker(config, env, Objects())
    state, rows = jax.jit(lambda key: train.train(key, make, told, config.num_updates))(jax.random.key(0))
    distances = np.asarray(rows["train/start_distance"])
    stages = distances[np.r_[True, np.diff(distances) != 0]].tolist()
    assert stages == [8, 0] and int(state.course.stage) == 1
    assert np.all(np.isfinite(rows["train/policy_loss"]))
