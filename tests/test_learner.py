"""Learners obey their laws; an update and a run do what they say."""

import dataclasses
import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants.learner import BROKEN

from romanesco.agent.normalize import Normalizer
from romanesco.agent.rollout import collect, start
from romanesco.core.mesh import Seeds, deal
from romanesco.core.spaces import Box, Discrete
from romanesco.core.types import Rollout
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.laws import learner as laws
from romanesco.laws.collector import case, fresh
from romanesco.laws.learner import LAWS, random_steps
from romanesco.laws.losses import spoken
from romanesco.learn import ppo, train
from romanesco.learn.gae import advantages

OPT = ppo.optimizer()
PLAIN = Normalizer(None, None)


KEY = jax.random.key(1)
ROOM = 5
PROGRAM = jax.jit(functools.partial(train.chunk, ROOM))


@functools.cache
def played(memory, streams=4, horizon=8):
    """-> an agent and a rollout of the T-Maze."""
    env, agent = case("tmaze", memory)
    begun = start(jax.random.key(0), env, agent, streams)
    return agent, jax.jit(collect, static_argnums=4)(KEY, env, agent, begun, horizon)[1]


def setup(env, **told):
    hp = ppo.Hyper(learning_rate=jnp.float32(1e-3), epochs=1, minibatches=2)
    return train.Setup(env, hp, OPT, num_envs=4, horizon=8, **told)


def full():
    """Everything that changes along a run is switched on."""
    return setup(case("tmaze", "gru")[0], normalize=("obs", "reward"), anneal=("learning_rate", "clip"))


def begin(told):
    return train.init(KEY, lambda key: fresh(key, told.env, "gru"), told)


def run(told, state, first, count):
    return PROGRAM(KEY, state, told, jnp.int32(first), jnp.int32(count), jnp.int32(ROOM))


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def random_rollout(T, B, carry=()):
    """Random contents, the observation saying which step of which stream it is."""
    t, b = jnp.indices((T + 1, B), dtype=jnp.float32)
    k_value, k_log_prob = jax.random.split(jax.random.key(5))
    steps = random_steps(4, T, B, jnp.stack([t, b], -1))
    log_prob, value = jax.random.normal(k_log_prob, (T, B)), jax.random.normal(k_value, (T + 1, B))
    return Rollout(steps, jnp.arange(T * B).reshape(T, B), log_prob, value, carry)


@pytest.mark.parametrize("law", LAWS)
def test_law(law):
    LAWS[law]()


@pytest.mark.parametrize(("mutant", "law"), [(m, law) for m, found, law in BROKEN if found is laws.LAWS])
def test_mutant_is_caught(mutant, law):
    with pytest.raises(AssertionError, match=f"^{law}: "):
        LAWS[law](mutant)


def test_every_law_has_a_mutant():
    assert set(LAWS) == {law for _, found, law in BROKEN if found is laws.LAWS}


def test_seeds_as_one_batched_program_agree():
    """What an accelerator runs; bits may differ."""
    env, _ = case("probe8", "none")
    one = lambda key: train.train(key, lambda k: fresh(k, env, "none"), setup(env), 2)
    keys = deal([jax.random.key(s) for s in range(3)], jax.devices())
    many = Seeds(one, batched=True)
    with laws.ThreadPoolExecutor(1) as pool:
        many.compile(pool, keys)
        together = many(keys)
    for key, (got, _) in zip(keys, together, strict=True):
        laws.close(got.learner.agent, jax.jit(one)(key)[0].learner.agent, atol=1e-4, what="batched, ")


# Minibatches


@pytest.mark.parametrize(("groups", "minibatches"), [(1, 1), (1, 4), (2, 2), (4, 2)])
def test_an_epoch_deals_every_stream_into_one_minibatch(groups, minibatches):
    rollout = random_rollout(3, 8, carry=jnp.arange(8.0))
    order = ppo.deal(jax.random.key(0), 8, ppo.Hyper(minibatches=minibatches, shuffle_groups=groups))
    parts = [ppo.part_of(rollout, rollout.log_prob, o)[0] for o in order]
    streams = [part.steps.obs[0, :, 1].astype(int).tolist() for part in parts]
    assert sorted(np.concatenate(streams)) == list(range(8))
    blocks = [np.bincount(np.array(s) // (8 // groups), minlength=groups) for s in streams]
    assert np.all(np.array(blocks) == 8 // groups // minibatches), "minibatch m holds part m of every block"


def test_a_minibatch_is_whole_streams_with_their_memories():
    rollout = random_rollout(5, 8, carry=jnp.arange(8.0))
    order = ppo.deal(jax.random.key(1), 8, ppo.Hyper(minibatches=2, shuffle_groups=2))[1]
    part, adv = ppo.part_of(rollout, 10 * rollout.log_prob, order)
    for n, b in enumerate(part.steps.obs[0, :, 1].astype(int).tolist()):
        want = jax.tree.map(lambda x, b=b: x[:, b], (rollout.steps, rollout.action, rollout.value, rollout.log_prob))
        got = jax.tree.map(lambda x, n=n: x[:, n], (part.steps, part.action, part.value, part.log_prob))
        assert equal(got, want)
        assert part.carry[n] == b and jnp.array_equal(adv[:, n], 10 * rollout.log_prob[:, b])


def test_blocks_are_permuted_by_keys_of_their_own():
    order = ppo.deal(jax.random.key(2), 32, ppo.Hyper(minibatches=1, shuffle_groups=2))[0]
    assert not jnp.array_equal(order[0], order[1]) and not jnp.array_equal(order[0], jnp.arange(16))


def test_samples_of_a_memoryless_agent_keep_their_next_step():
    T, B = 5, 3
    rollout = random_rollout(T, B)
    flat = ppo.as_samples(rollout)
    for n, (b, t) in enumerate(itertools.product(range(B), range(T))):
        both = jax.tree.map(lambda x, t=t, b=b: x[t : t + 2, b], (rollout.steps, rollout.value))
        assert equal(jax.tree.map(lambda x, n=n: x[:, n], (flat.steps, flat.value)), both)
        now = rollout.action[t, b], rollout.log_prob[t, b]
        assert equal((flat.action[0, n], flat.log_prob[0, n]), now)


def test_advantages_stay_with_their_samples():
    """One minibatch of all samples has the loss of the whole rollout."""
    agent, rollout = played("none")
    learner = ppo.init(agent, OPT, PLAIN)
    hp = ppo.Hyper(epochs=1, minibatches=1)
    _, got = ppo.update(jax.random.key(2), learner, rollout, OPT, hp)
    _, want = ppo.loss(agent, PLAIN, rollout, advantages(rollout, hp.gamma, hp.lam), hp)
    for name in ("policy_loss", "value_loss", "entropy"):
        np.testing.assert_allclose(got[name], want[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("streams", "minibatches"), [(1, 1), (4, 4)])
def test_a_minibatch_of_one_sample_has_finite_losses(streams, minibatches):
    agent, rollout = played("none", streams, 1)
    hp = ppo.Hyper(epochs=2, minibatches=minibatches)
    learner, metrics = ppo.update(jax.random.key(2), ppo.init(agent, OPT, PLAIN), rollout, OPT, hp)
    assert train.finite((learner, metrics)) and metrics["grad_norm"] > 0


# An update


def test_a2c_is_a_setting():
    """One epoch of one minibatch without a clip is the gradient of -A log pi(a) + .5 (target - V)^2 (Mnih et al.,
    2016); values computed again are the recorded ones, so A and target may be of either."""
    agent, rollout = played("gru")
    hp = ppo.Hyper(clip=math.inf, value_cost=0.5, normalize_advantages=False)

    def a2c(agent):
        said = ppo.replay(agent, rollout)
        value = jnp.concatenate([said.value.mean(), rollout.value[-1:]])
        again = eqx.tree_at(lambda r: r.value, rollout, jax.lax.stop_gradient(value))
        adv = advantages(again, hp.gamma, hp.lam)
        log_prob = jax.vmap(jax.vmap(lambda d, a: d.log_prob(a)))(said.dist, rollout.action)
        error = 0.5 * (adv + again.value[:-1] - value[:-1]) ** 2
        live = ~rollout.steps.last[:-1]
        return jnp.where(live, -adv * log_prob + 0.5 * error, 0.0).sum() / live.sum()

    ours = lambda agent: ppo.loss(agent, PLAIN, rollout, advantages(rollout, hp.gamma, hp.lam), hp)[0]
    got, want = (eqx.filter_jit(eqx.filter_grad(f))(agent) for f in (ours, a2c))
    laws.close(got, want, atol=1e-5, rtol=1e-3, what="gradient of ours against A2C's, ")


def test_off_policy_is_of_the_first_minibatch():
    agent, rollout = played("gru")
    hp = ppo.Hyper(learning_rate=0.1, epochs=2, minibatches=2)
    update = jax.jit(lambda learner: ppo.update(jax.random.key(2), learner, rollout, OPT, hp))
    learner, metrics = update(ppo.init(agent, OPT, PLAIN))
    assert metrics["off_policy"] < 1e-5 and metrics["clip_fraction"] > 0
    assert update(learner)[1]["off_policy"] > 1e-2, "an old rollout is told from a fresh one"


def test_an_aux_term_joins_the_loss():
    agent, rollout, adv = spoken()
    aux = lambda agent, said, rollout, hp: (said.y.sum() * 0 + 3.0, {"extra": jnp.float32(7.0)})
    plain, _ = ppo.loss(agent, PLAIN, rollout, adv, ppo.Hyper())
    total, metrics = ppo.loss(agent, PLAIN, rollout, adv, ppo.Hyper(), (aux,))
    assert metrics["extra"] == 7
    np.testing.assert_allclose(total, plain + 3, rtol=1e-6)


def test_explained_variance_is_0_where_targets_do_not_vary():
    rollout = random_rollout(4, 3)
    flat = eqx.tree_at(lambda r: r.value, rollout, jnp.zeros((5, 3)))
    assert ppo.explained_variance(flat, jnp.full((4, 3), 2.0)) == 0
    assert ppo.explained_variance(rollout, jnp.zeros((4, 3))) == 1


def test_the_optimizer_never_sees_the_normalizer():
    env, agent = case("tmaze", "gru")
    both = Normalizer.of(env.observation_space, obs=True, reward=True)
    plain, normalized = (ppo.init(agent, OPT, n) for n in (PLAIN, both))
    assert jax.tree.structure(plain.opt_state) == jax.tree.structure(normalized.opt_state)


# A run


def test_annealing_goes_linearly_to_0():
    told = full()
    last = train.scheduled(told, jnp.int32(3), jnp.int32(4))
    np.testing.assert_allclose((last.learning_rate, last.clip, last.gamma), (0.25e-3, 0.05, 0.99), rtol=1e-6)
    _, rows = run(told, begin(told), 0, 5)
    np.testing.assert_allclose(rows["train/learning_rate"], np.array([5, 4, 3, 2, 1]) * 0.2e-3, rtol=1e-6)


def test_a_chunk_is_split_without_a_trace():
    """5 updates = 2 + 3, bit for bit, in one program."""
    told = full()
    begun, programs = begin(told), PROGRAM._cache_size()
    whole, rows = run(told, begun, 0, 5)
    half, early = run(told, begun, 0, 2)
    both, late = run(told, half, 2, 3)
    assert equal(both, whole)
    assert equal(rows, jax.tree.map(lambda a, b: jnp.concatenate([a[:2], b[:3]]), early, late))
    assert not any(x[2:].any() for x in jax.tree.leaves(early)), "rows after `count` are zero"
    assert PROGRAM._cache_size() <= programs + 1


class Poisoned(Dynamics):
    """Pays nothing, but not a number at one moment of a life that never ends."""

    at: jax.Array
    observation_space = Box((1,))
    action_space = Discrete(2)

    def init(self, key):
        return jnp.int32(0)

    def transition(self, key, t, action):
        return t + 1, jnp.where(t == self.at, jnp.nan, 0.0), False, False

    def observe(self, key, t):
        return jnp.sin(t)[None]


@pytest.fixture(scope="module")
def sick():
    """-> how to run, and the state after, a run whose reward is poisoned in update 2."""
    told = setup(Episodes(Poisoned(jnp.int32(2 * 8 + 3))))
    return told, run(told, begin(told), 0, 4)[0]


def test_a_nan_stops_a_seed_at_the_last_good_state(sick):
    _, state = sick
    well = setup(Episodes(Poisoned(jnp.int32(-1))))
    want, _ = run(well, begin(well), 0, 2)
    assert state.failed == 2 and want.failed == -1
    assert equal(dataclasses.replace(state, failed=want.failed), want)


def test_first_bad_names_the_reward(sick):
    told, state = sick
    name, bad, size, rollout = train.first_bad(KEY, state, told, 2, ROOM)
    assert (name, bad, size) == ("reward", 4, 9 * 4)
    assert jnp.isnan(rollout.steps.reward[4]).all()


def test_first_bad_of_a_healthy_update_is_none(sick):
    told, state = sick
    well = dataclasses.replace(told, env=Episodes(Poisoned(jnp.int32(-1))))
    assert train.first_bad(KEY, state, well, 2, ROOM) is None


def test_no_two_leaves_of_a_state_share_a_buffer():
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(begin(full())) if x.size]
    assert len(set(pointers)) == len(pointers)
