"""Physical numbers drawn for each episode: their range, what is seen of them, and what follows from them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box
from romanesco.envs import ENVS
from romanesco.envs.settings import apply
from romanesco.lab.compose import changed_world, resolve
from romanesco.lab.files import from_yaml, to_yaml


def played(env, T=200):
    """-> states and steps [T+1 8]."""

    @eqx.filter_jit
    def run(env):
        def tick(state, t):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(1), t), 8)
            actions = jax.random.randint(keys[0], (8,), 0, env.action_space.n, jnp.int32)
            told = jax.vmap(env.step)(keys, state, actions)
            return told[0], told

        begun = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8))
        told = jax.lax.scan(tick, begun[0], jnp.arange(T))[1]
        return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), begun, told)

    return jax.tree.map(np.asarray, run(env))


def test_each_episode_draws_and_shows_its_numbers():
    ranges = {"length": [0.25, 1.0], "gravity": [9.0, 9.0]}
    env = ENVS["cartpole"](randomize=ranges, context=True)
    states, ts = played(env)
    drawn = states.s.numbers["length"]
    assert 0.25 <= drawn.min() < 0.35 and 0.9 < drawn.max() <= 1.0
    within = ~ts.first[1:]
    np.testing.assert_array_equal(drawn[1:][within], drawn[:-1][within])
    assert (drawn[1:] != drawn[:-1])[ts.first[1:]].all() and ts.first[1:].sum() > 20
    np.testing.assert_allclose(ts.obs["context"][..., 0], (drawn - 0.25) / 0.75 * 2 - 1, atol=1e-6)
    assert (ts.obs["context"][..., 1] == 0).all() and (states.s.numbers["gravity"] == 9).all()
    assert env.feature_names == ("length", "gravity", *ENVS["cartpole"]().feature_names)
    assert env.observation_space["context"] == Box((2,), np.float32, -1.0, 1.0)


def test_a_drawn_mass_is_a_set_mass():
    """What follows from it, the total mass and the pole's moment, is that of a world built with it."""
    drawn, built = ENVS["cartpole"](randomize={"masspole": [0.2, 0.2]}), ENVS["cartpole"](masspole=0.2)
    state, _ = drawn.reset(jax.random.key(0))
    s = state.s.s.replace(theta=jnp.float32(0.1), theta_dot=jnp.float32(1.0))
    inside = eqx.tree_at(lambda s: s.s, state.s, s)
    moved = drawn.dynamics.transition(jax.random.key(0), inside, jnp.int32(1))[0].s
    wanted = built.dynamics.transition(jax.random.key(0), s, jnp.int32(1))[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), moved, wanted)


def test_transforms_leave_the_context_alone():
    env = apply(
        ENVS["cartpole"](randomize={"length": [0.25, 1.0]}, context=True), stack=3, no_velocity=True, obs_noise=0.1
    )
    assert {k: s.shape for k, s in env.observation_space.items()} == {"state": (3, 4), "context": (1,)}
    _, ts = played(env, 20)
    assert (np.abs(ts.obs["context"]) <= 1).all()


def test_a_drawn_speed_widens_the_space():
    env = ENVS["mountaincar"](randomize={"max_speed": [0.05, 0.2]})
    np.testing.assert_allclose(env.observation_space.bounds[1][1], 0.2)


def test_nothing_drawn_is_the_world_itself():
    assert type(ENVS["cartpole"](randomize={}).dynamics).__name__ == "Classic"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"randomize": {"lenght": [1, 2]}}, "randomize.lenght: no such parameter; did you mean `length`"),
        ({"randomize": {"length": [2, 1]}}, r"randomize.length=\[2, 1\]: give \[low,high\].* such as \[0.25,1\]"),
        ({"context": True}, "context=true: nothing is drawn"),
    ],
)
def test_bad_ranges_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        ENVS["cartpole"](**settings)


def test_ranges_are_keys_of_the_configuration():
    (config,) = resolve("cartpole/cross", ["env.randomize.gravity=[5,15]"])
    assert config.env.randomize == {"length": [0.25, 1.0], "gravity": [5.0, 15.0]}
    assert from_yaml(to_yaml(config)) == config
    other = changed_world(config, ["env.randomize.length=[.1,.2]", "env.masscart=2"])
    assert (other.randomize["length"], other.masscart) == ([0.1, 0.2], 2.0)
    assert len(resolve("cartpole/cross", ["env.randomize.length=[.1,.2],[.2,.3]"])) == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("env.randomize.lenght=[1,2]", "did you mean `length`"),
        ("env.randomize.length=[2,1]", "low at most high"),
        ("env.randomize.length=3", r"give \[low,high\]"),
        ("env.randomize=3", r"env.randomize.NAME=\[low,high\]"),
        ("env.randomize.length=[-1,1]", "env.length must be a number above 0"),
        ("env.foo.bar=1", "no key `env.foo`"),
    ],
)
def test_a_bad_range_is_refused_before_anything_runs(word, said):
    with pytest.raises(BadInput, match=said):
        resolve("cartpole/cross", [word])
