"""Distributions over actions against SciPy and closed forms; masks; the border of the world."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from romanesco.core.actions import Categorical, Factored, Gaussian, distribution, enter, forbid, head_sizes
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, contains

LOGITS, OTHER = jnp.array([0.3, -1.0, 2.0, 0.0]), jnp.array([1.0, 0.5, -0.5, 0.2])
SQUARE = MultiDiscrete(((2, 3), (4, 2)))
N = 20_000


def softmax(logits):
    p = np.exp(np.asarray(logits, np.float64))
    return p / p.sum()


def samples(dist, n=N):
    return np.asarray(jax.jit(jax.vmap(dist.sample))(jax.random.split(jax.random.key(0), n)))


def as_drawn(counts, p):
    """Whether counts look like draws from p."""
    return scipy.stats.chisquare(counts, p * counts.sum()).pvalue > 1e-4


# Categorical


def test_categorical_against_scipy():
    p, q, dist = softmax(LOGITS), softmax(OTHER), Categorical(LOGITS)
    np.testing.assert_allclose([dist.log_prob(jnp.int32(a)) for a in range(4)], np.log(p), rtol=1e-5)
    np.testing.assert_allclose(dist.entropy(), scipy.stats.entropy(p), rtol=1e-5)
    np.testing.assert_allclose(dist.kl(Categorical(OTHER)), scipy.stats.entropy(p, q), rtol=1e-5)
    assert dist.mode() == 2


def test_categorical_samples_have_their_frequencies():
    drawn = samples(Categorical(LOGITS))
    assert drawn.dtype == np.int32 and as_drawn(np.bincount(drawn, minlength=4), softmax(LOGITS))


# Factored


def square():
    flat = jax.random.normal(jax.random.key(1), head_sizes(SQUARE)[:1])
    return flat, np.split(np.asarray(flat), np.cumsum(SQUARE.sizes)[:-1])


def test_factored_is_a_product_of_categoricals():
    flat, parts = square()
    dist, probabilities = Factored.of(SQUARE, flat, None), list(map(softmax, parts))
    for components in itertools.product(*map(range, SQUARE.sizes)):
        action = jnp.array(components).reshape(2, 2)
        want = sum(np.log(p[a]) for p, a in zip(probabilities, components, strict=True))
        np.testing.assert_allclose(dist.log_prob(action), want, rtol=1e-5)
    np.testing.assert_allclose(dist.entropy(), sum(map(scipy.stats.entropy, probabilities)), rtol=1e-5)


def test_factored_kl_is_the_sum_of_its_parts():
    flat, parts = square()
    dist, other = (Factored.of(SQUARE, x, None) for x in (flat, -2 * flat))
    want = sum(scipy.stats.entropy(softmax(x), softmax(-2 * x)) for x in parts)
    np.testing.assert_allclose(dist.kl(other), want, rtol=1e-5)


def test_factored_samples_belong_to_the_space_and_have_their_frequencies():
    flat, parts = square()
    dist = Factored.of(SQUARE, flat, None)
    drawn = samples(dist)
    assert SQUARE.contains(drawn[0]) and SQUARE.contains(np.asarray(dist.mode()))
    for k, part in enumerate(parts):
        assert as_drawn(np.bincount(drawn.reshape(N, 4)[:, k], minlength=len(part)), softmax(part))
    np.testing.assert_array_equal(dist.mode(), np.array([np.argmax(x) for x in parts]).reshape(2, 2))


def test_factored_reads_a_mask_component_by_component():
    space = MultiDiscrete((2, 3))
    allowed = jnp.array([False, True, False, False, False])  # nothing is left of the second component: ignored
    dist = Factored.of(space, jnp.arange(5.0), allowed)
    chance = np.exp([[dist.log_prob(jnp.array([a, b])) for b in range(3)] for a in range(2)])
    assert (chance[0] == 0).all()
    np.testing.assert_allclose(chance[1], softmax([2, 3, 4]), rtol=1e-5)


# Gaussian


def gaussians(shape=(2, 3)):
    keys = jax.random.split(jax.random.key(2), 4)
    mean, log_std, mean2, log_std2 = (0.5 * jax.random.normal(k, shape) for k in keys)
    return Gaussian(mean, log_std), Gaussian(mean2, log_std2)


def test_gaussian_against_scipy():
    dist, _ = gaussians()
    action = dist.mean + jnp.linspace(-2, 2, 6).reshape(2, 3)
    normal = scipy.stats.norm(np.asarray(dist.mean, np.float64), np.exp(np.asarray(dist.log_std, np.float64)))
    np.testing.assert_allclose(dist.log_prob(action), normal.logpdf(action).sum(), rtol=1e-5)
    np.testing.assert_allclose(dist.entropy(), normal.entropy().sum(), rtol=1e-5)
    np.testing.assert_array_equal(dist.mode(), dist.mean)


def test_gaussian_kl_is_its_closed_form():
    dist, other = gaussians()
    s, z = np.exp(np.asarray(dist.log_std, np.float64)), np.exp(np.asarray(other.log_std, np.float64))
    want = np.log(z / s) + (s**2 + np.asarray(dist.mean - other.mean) ** 2) / (2 * z**2) - 0.5
    np.testing.assert_allclose(dist.kl(other), want.sum(), rtol=1e-4)
    assert abs(dist.kl(dist)) < 1e-6


def test_gaussian_samples_have_their_law():
    dist, _ = gaussians(())
    drawn = samples(dist, 5000)
    assert scipy.stats.kstest(drawn, "norm", (float(dist.mean), float(jnp.exp(dist.log_std)))).pvalue > 1e-4


# Masks


def test_a_forbidden_action_has_no_chance():
    dist = Categorical(forbid(LOGITS, jnp.array([True, False, False, True])))
    chance = np.exp(dist.log_probs)
    assert (chance[1:3] == 0).all() and set(samples(dist, 500)) == {0, 3} and dist.mode() == 0
    np.testing.assert_allclose(chance[[0, 3]], softmax(LOGITS[jnp.array([0, 3])]), rtol=1e-5)


def test_a_mask_that_allows_nothing_is_ignored():
    np.testing.assert_array_equal(forbid(LOGITS, jnp.zeros(4, bool)), LOGITS)


@pytest.mark.parametrize("allowed", [[True, False, False, True], [False, False, True, False], [False] * 4])
def test_entropy_and_kl_of_masked_policies_have_finite_gradients(allowed):
    allowed = jnp.array(allowed)

    def terms(logits, other):
        dist = Categorical(forbid(logits, allowed))
        return dist.entropy() + dist.kl(Categorical(forbid(other, allowed))) + dist.log_prob(dist.mode())

    value, slopes = jax.value_and_grad(terms, (0, 1))(LOGITS, OTHER)
    assert jnp.isfinite(value) and all(jnp.isfinite(slope).all() for slope in slopes)


def test_padding_gets_no_gradient_and_makes_no_nan():
    space, flat = MultiDiscrete((2, 5)), jnp.arange(7.0)
    mask = jnp.array([True, True, False, False, False, False, True])

    def terms(flat):
        dist = Factored.of(space, flat, mask)
        return dist.entropy() + dist.kl(Factored.of(space, -flat, mask)) + dist.log_prob(jnp.array([0, 4]))

    slope = jax.grad(terms)(flat)
    assert jnp.isfinite(slope).all() and (slope[:2] != 0).all() and (slope[2:6] == 0).all()


# Spaces


TREE = {"turn": Discrete(3, start=-1), "keys": (SQUARE, Box((2,), np.float32, -1, 1)), "go": Discrete(2)}


@pytest.mark.parametrize(
    ("space", "sizes"),
    [(Discrete(4, start=2), (4, 0)), (SQUARE, (11, 0)), (Box((2, 3)), (0, 6)), (Box(()), (0, 1)),
     (MultiDiscrete((3,)), (3, 0)), (TREE, (16, 2)), ((Discrete(2), (Discrete(3),)), (5, 0))],
)  # fmt: skip
def test_a_policy_acts_in_its_space(space, sizes):
    assert head_sizes(space) == sizes
    head = jnp.linspace(-1, 1, sum(sizes))
    dist = distribution(space, head, jnp.zeros(sizes[1]), None)
    action = jax.tree.map(np.asarray, enter(space, dist.sample(jax.random.key(0))))
    assert contains(space, action) and dist.log_prob(dist.mode()).shape == dist.entropy().shape == ()


def parts_of(space, key):
    """-> a policy over a tree and those over its leaves: a dict's in the order of its keys, one after another."""
    head = jax.random.normal(key, (sum(head_sizes(TREE)),))
    go, many, box, turn = np.split(head, [2, 13, 15])
    allowed = jnp.array([True, False] + [True] * 11 + [False, True, True])
    log_std = jnp.array([0.3, -0.4])
    go, turn = Categorical(forbid(go, allowed[:2])), Categorical(forbid(turn, allowed[13:]))
    leaves = (go, Factored.of(SQUARE, many, allowed[2:13]), Gaussian(box, log_std), turn)
    return distribution(space, head, log_std, allowed), leaves


def test_the_parts_of_a_tree_are_independent():
    (dist, leaves), (other, others) = (parts_of(TREE, jax.random.key(n)) for n in range(2))
    action = dist.sample(jax.random.key(2))
    said = [action["go"], *action["keys"], action["turn"]]
    summed = lambda one, *xs: np.sum([np.float64(x) for x in map(one, leaves, *xs)])
    np.testing.assert_allclose(dist.log_prob(action), summed(lambda p, a: p.log_prob(a), said), rtol=1e-5)
    np.testing.assert_allclose(dist.entropy(), summed(lambda p: p.entropy()), rtol=1e-5)
    np.testing.assert_allclose(dist.kl(other), summed(lambda p, q: p.kl(q), others), rtol=1e-5)
    best = dist.mode()
    jax.tree.map(np.testing.assert_array_equal, [best["go"], *best["keys"], best["turn"]], [p.mode() for p in leaves])
    assert dist.mode()["go"] == 0 and dist.mode()["turn"] > 0


def test_a_tree_means_the_same_in_any_order_of_its_keys():
    turned = dict(reversed(TREE.items()))
    first, second = (parts_of(space, jax.random.key(0))[0].sample(jax.random.key(1)) for space in (TREE, turned))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_discrete_actions_enter_with_their_offset():
    assert [int(enter(Discrete(3, start=-1), jnp.int32(a))) for a in range(3)] == [-1, 0, 1]


def test_box_actions_enter_clipped_to_each_bound():
    space = Box((3,), np.float32, np.array([-1, -np.inf, 0]), np.array([1, 5, np.inf]))
    np.testing.assert_array_equal(enter(space, jnp.array([-9.0, -9.0, -9.0])), [-1, -9, 0])
    np.testing.assert_array_equal(enter(space, jnp.array([9.0, 9.0, 9.0])), [1, 5, 9])


def test_the_parts_of_a_tree_enter_each_in_its_way():
    inside = {"turn": jnp.int32(0), "keys": (jnp.ones((2, 2), jnp.int32), jnp.array([-9.0, 0.5])), "go": jnp.int32(1)}
    entered = enter(TREE, inside)
    assert entered["turn"] == -1 and entered["keys"][1].tolist() == [-1, 0.5] and entered["go"] == 1


@pytest.mark.parametrize("space", [{}, ({}, ())])
def test_a_space_without_a_choice_is_refused(space):
    with pytest.raises(BadInput, match="nothing to choose"):
        head_sizes(space)
