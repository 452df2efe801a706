"""M5 for memories with matrix states: each against its definition, a slow loop in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_memory_cells import FEATURES, FIRST, SIZE, affine, both_ways, by_sequence, inputs, require_both, sigmoid

from romanesco.core.errors import BadInput
from romanesco.memory import GSA, MLSTM, SHM, AGaLiTe, GaLiTe, GatedDeltaNet, Mamba2, Stack
from romanesco.memory.shm import ORDERS, draws


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
    ys, S = [], np.zeros((H, d, d))
    for x, new in zip(xs, first, strict=True):
        (q, k, v, g), (b, a) = affine(cell.enter, x).reshape(4, H, d), affine(cell.gate, x).reshape(2, H)
        q, k = (silu(z) / np.sqrt((silu(z) ** 2).sum(1, keepdims=True) + 1e-6) for z in (q, k))
        alpha, beta = np.exp(-np.exp(np.asarray(cell.rate)) * np.log1p(np.exp(a))), sigmoid(b)
        for h in range(H):
            erase = np.eye(d) - corrects * beta[h] * np.outer(k[h], k[h])
            S[h] = (0 * S[h] if new else alpha[h] * S[h] @ erase) + beta[h] * np.outer(v[h], k[h])
        read = np.einsum("hij,hj->hi", S, q)
        ys.append(affine(cell.leave, (normalized(read, cell.scale) * silu(g)).reshape(-1)))
    return np.stack(ys)


def silu(x):
    return x * sigmoid(x)


def normalized(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * np.asarray(scale)


def gsa(cell, xs, first, *, damping=8):
    """Slot by slot, with the softmax written out."""
    H, d, M = cell.heads, cell.head_size, cell.slots
    ys, K, V = [], np.zeros((H, M, d)), np.zeros((H, M, d))
    for x, new in zip(xs, first, strict=True):
        q, k, v = silu(affine(cell.enter, x)).reshape(3, H, d)
        alpha = sigmoid(affine(cell.gate, x)).reshape(H, M) ** (1 / damping)
        K, V = (0 * K, 0 * V) if new else (K, V)
        a = np.zeros((H, d))
        for h in range(H):
            for m in range(M):
                K[h, m] = alpha[h, m] * K[h, m] + (1 - alpha[h, m]) * k[h]
                V[h, m] = alpha[h, m] * V[h, m] + (1 - alpha[h, m]) * v[h]
            weights = np.exp(K[h] @ q[h])
            a[h] = V[h].T @ (weights / weights.sum())
        ys.append(affine(cell.leave, normalized(silu(a).reshape(-1), cell.scale)))
    return np.stack(ys)


def mamba2(cell, xs, first, *, forgets=True):
    """With the convolution over the inputs of the episode so far, as the authors' code has it."""
    H, d, N, weight = cell.heads, cell.head_size, cell.state_size, np.asarray(cell.conv.weight)
    ys, h, past = [], np.zeros((H, d, N)), []
    for x, new in zip(xs, first, strict=True):
        v, z = np.split(affine(cell.enter, x), 2)
        keys, dt = np.split(affine(cell.wide, x), [2 * N])
        past = [*([] if new and forgets else past), np.concatenate([v, keys])]
        mixed = np.asarray(cell.conv.bias) + sum(w * u for w, u in zip(weight[::-1], past[::-1], strict=False))
        v, B, C = np.split(silu(mixed), [H * d, H * d + N])
        v, dt = v.reshape(H, d), np.log1p(np.exp(dt))
        a = np.zeros((H, d))
        for i in range(H):
            h[i] = (0 * h[i] if new else np.exp(-dt[i] * np.exp(cell.rate[i])) * h[i]) + dt[i] * np.outer(v[i], B)
            a[i] = h[i] @ C + cell.skip[i] * v[i]
        ys.append(affine(cell.leave, normalized(a.reshape(-1) * silu(z), cell.scale)))
    return np.stack(ys)


def shm(cell, xs, first, *, draw=None):
    """Entry by entry, its draws looked up by the step of the episode."""
    theta, M = np.asarray(cell.theta), cell.theta.shape[1]
    ys, S, n = [], np.zeros((M, M)), 0
    for x, new in zip(xs, first, strict=True):
        k, q, v, c, eta = np.split(np.asarray(cell.enter.weight) @ x, np.arange(1, 5) * M)
        k, q = (np.maximum(z, 0) / (1e-5 + np.maximum(z, 0).sum()) for z in (k, q))
        S, n = (0 * S, 0) if new else (S, n)
        row = theta[draws(len(theta))[n] if draw is None else draw]
        for i in range(M):
            for j in range(M):
                S[i, j] = (1 + np.tanh(row[i] * c[j])) * S[i, j] + sigmoid(eta[0]) * v[i] * k[j]
        ys.append(affine(cell.leave, S @ q))
        n += 1
    return np.stack(ys)


def small(cell_class=GaLiTe, **settings):
    width = {"units": 4} if cell_class is SHM else {"heads": 2, "head_size": 4}
    return cell_class(SIZE, key=jax.random.key(0), **width, **settings)


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
    "gsa": (GSA, {"slots": 3}, gsa, {"damping": 1}),
    "mamba2": (Mamba2, {"state_size": 3}, mamba2, {"forgets": False}),
    "shm": (SHM, {"thetas": 5}, shm, {"draw": 0}),
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


def test_gsa_slots_and_mamba_heads_forget_at_different_rates_at_birth():
    bias = small(GSA, slots=3).gate.bias
    np.testing.assert_allclose(-np.log(sigmoid(bias)) / 8, np.tile([1e-3, 1e-2, 1e-1], 2), rtol=1e-6)
    cell = Mamba2(SIZE, heads=3, head_size=2, key=jax.random.key(0))
    np.testing.assert_allclose(np.log1p(np.exp(cell.wide.bias[4:])), [1e-3, 1e-2, 1e-1], rtol=1e-6)
    np.testing.assert_allclose(np.exp(cell.rate), [1, 8.5, 16])


def test_shm_draws_every_row_equally_often_and_never_in_one_order():
    rounds = draws(128).reshape(ORDERS, 128)
    np.testing.assert_array_equal(np.sort(rounds, 1), np.broadcast_to(np.arange(128), rounds.shape))
    assert len({tuple(order) for order in rounds}) == ORDERS


def test_shm_is_stable_at_birth():
    """Rows of mean 0, each as often: no input makes what is in the state grow from period to period."""
    theta = np.asarray(SHM(SIZE, units=7, thetas=20, key=jax.random.key(0)).theta)
    for c in (-3.0, -0.3, 0.3, 3.0):
        assert (np.log1p(np.tanh(theta * c)).sum(0) < 0).all()


def test_enough_channels_are_the_matrix_state():
    """For T up to its channels AGaLiTe is GaLiTe with the same weights, but for the epsilons."""
    matrix, steps = small(eta=3, feature_map="softplus"), 5
    channels = small(AGaLiTe, eta=3, channels=steps, feature_map="softplus", epsilon=1e-5)
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
        (lambda key: MLSTM(8, heads=0, key=key), "heads=0: at least 1"),
        (lambda key: GSA(8, slots=0, key=key), "slots=0: at least 1"),
        (lambda key: Mamba2(8, state_size=0, key=key), "state_size=0: at least 1"),
        (lambda key: Mamba2(8, conv=0, key=key), "conv=0: at least 1"),
        (lambda key: SHM(8, thetas=0, key=key), "thetas=0: at least 1"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(BadInput, match=message):
        build(jax.random.key(0))
