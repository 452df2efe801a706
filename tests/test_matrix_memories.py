"""M5 for memories with matrix states: each against its definition, a slow loop in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_memory_cells import FEATURES, FIRST, SIZE, affine, both_ways, by_sequence, inputs, require_both, sigmoid

from romanesco.core.errors import BadInput
from romanesco.memory import MLSTM, AGaLiTe, GaLiTe, GatedDeltaNet, Stack


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def stacked_heads(layer, x):
    """One affine map a head, [H i] -> [H o]."""
    return np.einsum("hoi,hi->ho", np.asarray(layer.weight), x) + np.asarray(layer.bias)


def galite(cell, xs, first, *, decay=None):
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
        kept = (1 - beta) * (1 - gamma) if (decay or cell.decay) == "outer" else 1 - beta * gamma
        S = kept * S + (beta * v[:, :, None]) * (gamma * k[:, None])
        s = (1 - gamma[:, 0]) * s + gamma[:, 0] * k
        a = np.einsum("hdf,hf->hd", S, q) / ((s * q).sum(1) + 1e-10)[:, None]
        ys.append(affine(cell.leave, a.reshape(-1)))
    return np.stack(ys)


def mlstm(cell, xs, first, *, least=1.0):
    """Without the stabilizer m: on sums of e^i v k^T themselves (memory.md 4.4)."""
    H, d = cell.heads, cell.head_size
    ys, C, n = [], np.zeros((H, d, d)), np.zeros((H, d))
    for x, new in zip(xs, first, strict=True):
        (q, k, v, o), (i, f) = affine(cell.enter, x).reshape(4, H, d), affine(cell.gate, x).reshape(2, H)
        k = k / np.sqrt(d)
        keep, write = (0 * f if new else sigmoid(f))[:, None], np.exp(i)[:, None]
        C = keep[..., None] * C + (write * v)[:, :, None] * k[:, None]
        n = keep * n + write * k
        a = np.einsum("hij,hj->hi", C, q) / np.maximum(np.abs((n * q).sum(1)), least)[:, None]
        ys.append(affine(cell.leave, (sigmoid(o) * a).reshape(-1)))
    return np.stack(ys)


def gated_deltanet(cell, xs, first, *, corrects=True):
    """With the matrix I - beta k k^T written out (memory.md 4.4)."""
    H, d = cell.heads, cell.head_size
    silu = lambda x: x * sigmoid(x)
    ys, S = [], np.zeros((H, d, d))
    for x, new in zip(xs, first, strict=True):
        (q, k, v, g), (b, a) = affine(cell.enter, x).reshape(4, H, d), affine(cell.gate, x).reshape(2, H)
        q, k = (silu(z) / np.sqrt((silu(z) ** 2).sum(1, keepdims=True) + 1e-6) for z in (q, k))
        alpha, beta = np.exp(-np.exp(np.asarray(cell.rate)) * np.log1p(np.exp(a))), sigmoid(b)
        for h in range(H):
            erase = np.eye(d) - corrects * beta[h] * np.outer(k[h], k[h])
            S[h] = (0 * S[h] if new else alpha[h] * S[h] @ erase) + beta[h] * np.outer(v[h], k[h])
        read = np.einsum("hij,hj->hi", S, q)
        normed = read / np.sqrt((read**2).mean(1, keepdims=True) + 1e-6) * np.asarray(cell.scale)
        ys.append(affine(cell.leave, (normed * silu(g)).reshape(-1)))
    return np.stack(ys)


def small(cell_class=GaLiTe, **settings):
    return cell_class(SIZE, heads=2, head_size=4, key=jax.random.key(0), **settings)


CELLS = {
    "galite": (GaLiTe, {"eta": 3}, galite, {"decay": "reference"}),
    "galite-reference": (
        GaLiTe,
        {"eta": 3, "decay": "reference", "feature_map": "softplus"},
        galite,
        {"decay": "outer"},
    ),
    "mlstm": (MLSTM, {}, mlstm, {"least": 0.5}),
    "gated_deltanet": (GatedDeltaNet, {}, gated_deltanet, {"corrects": False}),
}


@pytest.mark.parametrize("name", CELLS)
def test_matrix_memory_is_its_definition(name):
    cell_class, settings, definition, slip = CELLS[name]
    cell, xs = small(cell_class, **settings), np.asarray(inputs())
    require_both(cell, definition)
    assert np.abs(definition(cell, xs, FIRST, **slip) - definition(cell, xs, FIRST)).max() > 1e-3


def test_galite_forgets_by_closed_gates():
    """Gates of exactly 1, whose log-decay is bounded: outputs are the definition's, gradients finite."""
    cell = small(eta=3)
    bias = cell.enter.bias.reshape(2, 5, 4).at[:, 3:].set(50).reshape(-1)
    cell = eqx.tree_at(lambda m: (m.enter.bias, m.factor.bias), cell, (bias, jnp.full_like(cell.factor.bias, 50)))
    require_both(cell, galite)
    slopes = jax.jit(jax.grad(lambda cell: (by_sequence(cell, inputs(), FIRST) ** 2).sum()))(cell)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))


def test_mlstm_sequence_returns_the_recurrent_scale():
    cell, xs = small(MLSTM), inputs()
    state, scale = jax.jit(lambda cell, xs, first: cell.sequence(cell.init_carry(), xs, first)[0])(cell, xs, FIRST), 0
    for x, new in zip(np.asarray(xs), FIRST, strict=True):
        i, f = affine(cell.gate, x).reshape(2, 2)
        scale = i if new else np.maximum(np.log(sigmoid(f)) + scale, i)
    np.testing.assert_allclose(state.scale, scale, rtol=1e-9)


def test_heads_forget_at_different_rates_at_birth():
    rates = lambda cell: cell(SIZE, heads=4, head_size=2, key=jax.random.key(0)).gate.bias[4:]
    np.testing.assert_allclose(rates(MLSTM), [3, 4, 5, 6])
    np.testing.assert_allclose(np.log1p(np.exp(rates(GatedDeltaNet))), np.geomspace(1e-3, 1e-1, 4))


def test_enough_channels_are_the_matrix_state():
    """For T up to its channels AGaLiTe is GaLiTe with the same weights, but for the epsilons."""
    matrix, steps = small(eta=3, feature_map="softplus"), 5
    channels = small(AGaLiTe, eta=3, channels=steps, feature_map="softplus")
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
