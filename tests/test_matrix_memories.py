"""M5 for memories with matrix states: each against its definition, a slow loop in float64."""

import jax
import numpy as np
import pytest
from test_memory_cells import FEATURES, SIZE, affine, both_ways, inputs, require_both, sigmoid

from romanesco.core.errors import BadInput
from romanesco.memory import AGaLiTe, GaLiTe, Stack


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def stacked_heads(layer, x):
    """One affine map a head, [H i] -> [H o]."""
    return np.einsum("hoi,hi->ho", np.asarray(layer.weight), x) + np.asarray(layer.bias)


def galite(cell, xs, first):
    """Keys, queries and gates as vectors [H F] (memory.md 4.2)."""
    H, feature = cell.heads, FEATURES[cell.feature_map]
    outer = lambda low, wide: np.einsum("he,hd->hed", low, wide).reshape(H, -1)
    ys, S, s = [], np.zeros((H, cell.head_size, cell.eta * cell.head_size)), np.zeros((H, cell.eta * cell.head_size))
    for x, new in zip(xs, first, strict=True):
        k, q, v, b, g = affine(cell.enter, x).reshape(H, 5, -1).swapaxes(0, 1)
        low = affine(cell.factor, x).reshape(H, -1, cell.eta).swapaxes(0, 1)
        if cell.decay == "outer":
            low_k, low_q, low_g = low
        else:
            (low_k, low_g), (wide, narrow) = low, cell.query
            q, low_q = stacked_heads(wide, q), stacked_heads(narrow, q)
        k, q = outer(feature(low_k), feature(k)), outer(feature(low_q), feature(q))
        beta, gamma = sigmoid(b)[:, :, None], outer(sigmoid(low_g), sigmoid(g))[:, None]
        S, s = (0 * S, 0 * s) if new else (S, s)
        kept = (1 - beta) * (1 - gamma) if cell.decay == "outer" else 1 - beta * gamma
        S = kept * S + (beta * v[:, :, None]) * (gamma * k[:, None])
        s = (1 - gamma[:, 0]) * s + gamma[:, 0] * k
        a = np.einsum("hdf,hf->hd", S, q) / ((s * q).sum(1) + 1e-10)[:, None]
        ys.append(affine(cell.leave, a.reshape(-1)))
    return np.stack(ys)


def small(**settings):
    return GaLiTe(SIZE, heads=2, head_size=4, key=jax.random.key(0), **settings)


@pytest.mark.parametrize(("decay", "feature_map"), [("outer", "relu"), ("reference", "softplus")])
def test_galite_is_its_definition(decay, feature_map):
    require_both(small(eta=3, decay=decay, feature_map=feature_map), galite)


def test_the_decays_are_different_memories():
    outer, reference = small(eta=3), small(eta=3, decay="reference")
    with pytest.raises(AssertionError):
        require_both(outer, lambda cell, xs, first: galite(reference, xs, first))


def test_enough_channels_are_the_matrix_state():
    """For T up to its channels AGaLiTe is GaLiTe with the same weights, but for the epsilons."""
    matrix, steps = small(eta=3, feature_map="softplus"), 5
    channels = AGaLiTe(SIZE, heads=2, head_size=4, eta=3, channels=steps, feature_map="softplus", key=jax.random.key(0))
    for a, b in zip(jax.tree.leaves(matrix), jax.tree.leaves(channels), strict=True):
        np.testing.assert_array_equal(a, b)
    got, want = (both_ways(cell, inputs(steps + 1), np.zeros(steps + 1, bool)) for cell in (channels, matrix))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a[:steps], b[:steps], rtol=1e-4)
        assert np.abs(a[steps] - b[steps]).max() > 1e-3


def test_published_stack_has_the_published_size():
    def build(key):
        stack = Stack.of(GaLiTe, decay="reference", key=key)
        return stack, stack.init_carry()

    stack, carry = jax.eval_shape(build, jax.random.key(0))
    numbers = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    encoder, ticks = 16 * 128 + 128, 4 * 128  # a layer of the published code also carries a tick it does not use
    assert numbers(stack) + encoder == 1_792_736
    assert numbers(carry) + ticks == 133_632


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda key: GaLiTe(8, decay="outter", key=key), "decay `outter`; did you mean `outer`"),
        (lambda key: GaLiTe(8, eta=0, key=key), "eta=0: at least 1"),
        (lambda key: GaLiTe(8, feature_map="rleu", key=key), "feature_map `rleu`; did you mean `relu`"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(BadInput, match=message):
        build(jax.random.key(0))
