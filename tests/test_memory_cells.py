"""M5: every cell against its definition, a slow loop in float64; and what the cells promise or refuse."""

import functools
import subprocess
import sys
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants.memory import CurrentKey

from romanesco.core.errors import BadInput
from romanesco.core.layers import orthogonal
from romanesco.memory import BRC, GRU, LSTM, MEMORIES, AGaLiTe, Feedforward, Stack, Window
from romanesco.memory.basis import channel_rank, coefficients, layout
from romanesco.memory.stack import GRUGate

T, SIZE = 30, 6
FIRST = np.isin(np.arange(T), [0, 3, 11, 12, 26])


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def inputs(steps=T):
    return 2 * jax.random.normal(jax.random.key(1), (steps, SIZE))


@jax.jit
def by_sequence(cell, xs, first):
    return cell.sequence(cell.init_carry(), xs, first)[1]


@jax.jit
def by_step(cell, xs, first):
    return jax.lax.scan(lambda carry, x: cell.step(carry, *x), cell.init_carry(), (xs, first))[1]


def both_ways(cell, xs, first=FIRST):
    """Outputs of `sequence`, and of repeated `step`."""
    return tuple(np.asarray(way(cell, jnp.asarray(xs), jnp.asarray(first))) for way in (by_sequence, by_step))


def require_both(cell, definition, *, rtol=1e-9, atol=1e-11):
    for ys in both_ways(cell, inputs()):
        np.testing.assert_allclose(ys, definition(cell, np.asarray(inputs()), FIRST), rtol=rtol, atol=atol)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def affine(layer, x):
    return np.asarray(layer.weight) @ x + np.asarray(layer.bias)


# Definitions


def gru(cell, xs, first):
    ys, h = [], np.zeros(cell.size_out)
    for x, new in zip(xs, first, strict=True):
        h = 0 * h if new else h
        (xr, xz, xn), (hr, hz, hn) = np.split(affine(cell.enter, x), 3), np.split(affine(cell.recur, h), 3)
        n = np.tanh(xn + sigmoid(xr + hr) * hn)
        h = (1 - sigmoid(xz + hz)) * n + sigmoid(xz + hz) * h
        ys.append(h)
    return np.stack(ys)


def lstm(cell, xs, first):
    ys, c, h = [], np.zeros(cell.size_out), np.zeros(cell.size_out)
    for x, new in zip(xs, first, strict=True):
        c, h = (0 * c, 0 * h) if new else (c, h)
        i, f, g, o = np.split(affine(cell.enter, x) + np.asarray(cell.recur) @ h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    return np.stack(ys)


def brc(cell, xs, first):
    ys, h, bias = [], np.zeros(cell.size_out), np.asarray(cell.bias)
    full = len(cell.recur) > 2
    (wa, wc), (ba, bc) = np.split(np.asarray(cell.recur), 2), np.split(bias, 2)
    wa, wc = (w if full else np.diag(w[0]) for w in (wa, wc))
    for x, new in zip(xs, first, strict=True):
        xa, xc, xh = np.split(np.asarray(cell.enter.weight) @ x, 3)
        h = 0 * h if new else h
        a, c = 1 + np.tanh(xa + wa @ h + ba), sigmoid(xc + wc @ h + bc)
        h = c * h + (1 - c) * np.tanh(xh + a * h)
        ys.append(h)
    return np.stack(ys)


def window(cell, xs, first):
    H, d, ys, start = cell.heads, cell.head_size, [], 0
    parts = np.stack([affine(cell.enter, x).reshape(3, H, d) for x in xs])
    for t in range(len(xs)):
        start = t if first[t] else start
        seen = [j for j in range(t + 1) if j >= start and t - j < cell.window]
        a = np.zeros((H, d))
        for h in range(H):
            logits = [parts[t, 0, h] @ parts[j, 1, h] / np.sqrt(d) + float(cell.bias[h, t - j]) for j in seen]
            weights = np.exp(logits) / np.exp(logits).sum()
            a[h] = sum(w * parts[j, 2, h] for w, j in zip(weights, seen, strict=True))
        ys.append(affine(cell.leave, a.reshape(-1)))
    return np.stack(ys)


FEATURES = {"relu": lambda x: np.maximum(x, 0), "softplus": lambda x: np.log1p(np.exp(x))}


def gated(cell, x):
    """-> gated key, query, gamma [H eta d]; gated value, beta [H d]."""
    feature = FEATURES[cell.feature_map]
    k, q, v, b, g = affine(cell.enter, x).reshape(cell.heads, 5, -1).swapaxes(0, 1)
    p1, p2, p3 = affine(cell.factor, x).reshape(cell.heads, 3, -1).swapaxes(0, 1)
    outer = lambda p, x: p[:, :, None] * x[:, None]
    gamma, beta = outer(sigmoid(p3), sigmoid(g)), sigmoid(b)
    return gamma * outer(feature(p1), feature(k)), outer(feature(p2), feature(q)), gamma, beta * v, beta


def agalite(cell, xs, first):
    """In channels, with the sum of keys kept apart and the phase restarting (memory.md 4.1)."""
    table, weights, rho = coefficients(cell.basis, cell.channels)
    ys, n, start = [], 0, 2 if cell.basis == "reference" else 0
    keys = np.zeros((len(weights), cell.heads, cell.eta, cell.head_size))
    values, s = np.zeros((len(weights), cell.heads, cell.head_size)), np.zeros(keys.shape[1:])
    for x, new in zip(xs, first, strict=True):
        if new:
            keys, values, s, n = 0 * keys, 0 * values, 0 * s, start
        k, q, gamma, v, beta = gated(cell, x)
        c = table[n % len(table)]
        keys = (1 - gamma) * keys + c[:, None, None, None] * k
        values = (1 - beta) * values + c[:, None, None] * v
        s, n = (1 - gamma) * s + k, n + 1
        scores = weights[:, None] * (keys * q).sum((2, 3))
        a = (scores[..., None] * values).sum(0) / (rho * (s * q).sum((1, 2)) + cell.epsilon)[:, None]
        ys.append(affine(cell.leave, a.reshape(-1)))
    return np.stack(ys)


def small(**settings):
    return AGaLiTe(SIZE, heads=2, head_size=4, eta=3, key=jax.random.key(0), **settings)


# The cells are their definitions


@pytest.mark.parametrize(("cell_class", "definition"), [(GRU, gru), (LSTM, lstm)])
@pytest.mark.parametrize("units", [None, 4])
def test_recurrent_cell_is_its_definition(float64, cell_class, definition, units):
    require_both(cell_class(SIZE, units=units, key=jax.random.key(0)), definition)


@pytest.mark.parametrize("neuromodulated", [False, True])
def test_bistable_cell_is_its_definition(float64, neuromodulated):
    cell = BRC(SIZE, units=4, neuromodulated=neuromodulated, key=jax.random.key(0))
    bias = jax.random.normal(jax.random.key(2), cell.bias.shape)
    require_both(eqx.tree_at(lambda m: m.bias, cell, bias), brc)


@pytest.mark.parametrize("width", [2, 5, 64])
def test_window_is_its_definition(float64, width):
    cell = Window(SIZE, heads=2, window=width, head_size=4, key=jax.random.key(0))
    bias = jax.random.normal(jax.random.key(2), cell.bias.shape)
    require_both(eqx.tree_at(lambda m: m.bias, cell, bias), window)


BASES = [("quadrature", c) for c in (1, 2, 4, 5)] + [("reference", r) for r in (1, 2, 3, 4, 5, 8)]


@pytest.mark.parametrize(("basis", "channels"), BASES)
@pytest.mark.filterwarnings("ignore:basis=reference")
def test_agalite_slots_are_the_channels(float64, basis, channels):
    require_both(small(basis=basis, channels=channels), agalite)


def test_agalite_softplus_is_its_definition(float64):
    require_both(small(feature_map="softplus"), agalite)


def test_definition_refuses_a_divisor_of_the_current_key(float64):
    with pytest.raises(AssertionError):
        require_both(CurrentKey(SIZE, heads=2, head_size=4, eta=3, key=jax.random.key(0)), agalite)


def test_feedforward_of_no_layers_is_the_identity():
    ys, _ = both_ways(Feedforward(SIZE, layers=0, key=jax.random.key(0)), inputs())
    np.testing.assert_array_equal(ys, inputs())


# What AGaLiTe's channels can do


def test_one_channel_ignores_keys_and_queries(float64):
    cell = small(channels=1, feature_map="softplus", epsilon=1e-5)
    rows = cell.enter.weight.reshape(2, 5, 4, SIZE).at[:, :2].multiply(-0.5).reshape(-1, SIZE)
    other = eqx.tree_at(lambda m: m.enter.weight, cell, rows)
    np.testing.assert_allclose(both_ways(other, inputs())[0], both_ways(cell, inputs())[0], atol=1e-3)


@pytest.mark.filterwarnings("ignore:basis=reference")
def test_the_published_second_channel_adds_nothing(float64):
    one, two = (small(basis="reference", channels=r, feature_map="softplus", epsilon=1e-5) for r in (1, 2))
    np.testing.assert_allclose(both_ways(two, inputs())[0], both_ways(one, inputs())[0], atol=1e-4)


@pytest.mark.parametrize("channels", range(1, 10))
def test_quadrature_channels_are_orthogonal_in_time(channels):
    table, weights, rho = coefficients("quadrature", channels)
    np.testing.assert_allclose((table * weights) @ table.T, rho * np.eye(channels), atol=1e-12)


def test_channel_rank():
    assert {r: channel_rank("reference", r) for r in (1, 2, 3, 4, 5, 8, 16)} == {
        1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 8: 4, 16: 8
    }  # fmt: skip
    assert all(channel_rank("quadrature", c) == c for c in range(1, 20))


def test_slots_of_a_basis():
    assert [layout("quadrature", c, 1e-3).slots for c in (1, 2, 5)] == [1, 2, 5]
    assert [layout("reference", r, 1e-3).slots for r in (2, 3, 4, 5)] == [2, 2, 3, 3]


def test_identical_channels_are_warned_of():
    with pytest.warns(UserWarning, match="channels=2: channels 1 and 2 are identical; rank 1"):
        jax.eval_shape(lambda: small(basis="reference", channels=2))


def test_the_default_basis_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(small)


@pytest.mark.filterwarnings("ignore:basis=reference")
def test_published_stack_has_the_published_size():
    def build(key):
        stack = Stack.of(AGaLiTe, basis="reference", channels=2, key=key)
        return stack, stack.init_carry()

    stack, carry = jax.eval_shape(build, jax.random.key(0))
    numbers = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    encoder = 16 * 128 + 128
    assert numbers(stack) + encoder == 1_740_608
    assert numbers(carry) < 14_340


# What the others promise


@pytest.mark.parametrize("width", [2, 4])
def test_window_is_strict(width):
    cell = Window(SIZE, heads=2, window=width, key=jax.random.key(0))
    last = lambda xs: by_sequence(cell, xs, jnp.zeros(T, bool))[-1].sum()
    reached = np.abs(jax.grad(last)(inputs())).sum(1) > 0
    np.testing.assert_array_equal(reached, np.arange(T) >= T - width)


def test_window_sequence_keeps_nan_from_those_who_cannot_see_it():
    cell = Window(SIZE, heads=2, window=4, key=jax.random.key(0))
    xs, first = inputs().at[9].set(jnp.nan), np.zeros(T, bool)
    first[11] = True
    for ys in both_ways(cell, xs, first):
        np.testing.assert_array_equal(np.isnan(ys).any(1), np.isin(np.arange(T), [9, 10]))


@pytest.mark.parametrize(("bias", "kept"), [(0.5, True), (-0.5, False)])
def test_a_bistable_unit_keeps_its_sign_for_ever(bias, kept):
    """One input of either sign, then 2,000 steps of none: held where a > 1, faded where a < 1."""
    cell = BRC(1, units=1, key=jax.random.key(0))
    parts = jnp.array([[0.0], [0.0], [1.0]]), jnp.zeros((2, 1)), jnp.array([bias, 0.0])
    cell = eqx.tree_at(lambda m: (m.enter.weight, m.recur, m.bias), cell, parts)
    xs, first = jnp.zeros((2000, 1)), jnp.zeros(2000, bool)
    high, low = (by_sequence(cell, xs.at[0].set(x), first)[-1, 0] for x in (2.0, -2.0))
    assert high > 0.5 and low < -0.5 if kept else max(abs(high), abs(low)) < 1e-6


def test_lstm_remembers_at_birth():
    bias = LSTM(SIZE, units=3, key=jax.random.key(0)).enter.bias
    np.testing.assert_array_equal(bias, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])


def test_recurrent_kernels_are_orthogonal():
    kernels = GRU(SIZE, units=4, key=jax.random.key(0)).recur.weight.reshape(3, 4, 4)
    np.testing.assert_allclose(kernels @ kernels.swapaxes(1, 2), np.broadcast_to(np.eye(4), (3, 4, 4)), atol=1e-5)


def test_states_are_float32_under_bfloat16():
    dtypes = lambda tree: [x.dtype for x in jax.tree.leaves(tree)]

    def before_and_after(example):
        cell, xs = jax.tree.map(lambda x: x.astype(jnp.bfloat16), example(jax.random.key(0), T))
        return cell.init_carry(), cell.sequence(cell.init_carry(), xs, jnp.asarray(FIRST))[0]

    for name in MEMORIES:
        before, after = jax.eval_shape(functools.partial(before_and_after, MEMORIES[name].example))
        assert dtypes(after) == dtypes(before) and jnp.bfloat16 not in dtypes(after), name


# Stacks


def test_gru_gate_is_its_formula(float64):
    gate = GRUGate(SIZE, init=orthogonal, key=jax.random.key(0))
    x, y = np.asarray(inputs())[:2]
    wr, wz, wg = np.split(np.asarray(gate.branch), 3)
    ur, uz = np.split(np.asarray(gate.stream), 2)
    r, z = sigmoid(wr @ y + ur @ x), sigmoid(wz @ y + uz @ x - 2)
    g = np.tanh(wg @ y + np.asarray(gate.reset) @ (r * x))
    np.testing.assert_allclose(gate(*inputs()[:2]), (1 - z) * x + z * g)


def test_layer_is_its_formula(float64):
    stack = Stack.of(AGaLiTe, layers=1, size=SIZE, heads=2, head_size=4, eta=2, key=jax.random.key(0))
    (layer,) = stack.layers
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    e, relu = np.asarray(inputs()), FEATURES["relu"]
    h = layer.gate(inputs(), jnp.asarray(relu(agalite(layer.cell, norm(e), FIRST))))
    ffn = np.stack([affine(layer.down, relu(affine(layer.up, x))) for x in norm(np.asarray(h))])
    for ys in both_ways(stack, e):
        np.testing.assert_allclose(ys, layer.ffn_gate(h, jnp.asarray(relu(ffn))), rtol=1e-9, atol=1e-11)


def test_a_cell_says_how_it_is_stacked_and_the_caller_may_say_otherwise():
    build = lambda **style: jax.eval_shape(lambda: Stack.of(AGaLiTe, layers=1, key=jax.random.key(0), **style))
    gated, plain = build(), build(gate="residual", ffn=5, last_norm=True)
    assert gated.norm is None and gated.layers[0].up.out_features == 128
    assert plain.norm is not None and plain.layers[0].up.out_features == 5
    assert isinstance(gated.layers[0].gate, GRUGate) and not isinstance(plain.layers[0].gate, GRUGate)


# What is refused


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda key: AGaLiTe(8, channels=0, key=key), "channels=0: at least 1"),
        (lambda key: AGaLiTe(8, heads=0, key=key), "heads=0: at least 1"),
        (lambda key: AGaLiTe(8, epsilon=0.0, key=key), "epsilon=0.0: more than 0"),
        (lambda key: AGaLiTe(8, basis="quadratur", key=key), "basis `quadratur`; did you mean `quadrature`"),
        (lambda key: AGaLiTe(8, feature_map="rleu", key=key), "feature_map `rleu`; did you mean `relu`"),
        (lambda key: Window(12, heads=5, key=key), "heads=5 does not divide size=12; divisors: 1, 2, 3, 4, 6, 12"),
        (lambda key: Window(12, window=1, key=key), "window=1: at least 2"),
        (lambda key: Window(12, head_size=0, key=key), "head_size=0: at least 1"),
        (lambda key: GRU(8, units=0, key=key), "units=0: at least 1"),
        (lambda key: BRC(8, units=0, key=key), "units=0: at least 1"),
        (lambda key: Feedforward(8, layers=-1, key=key), "layers=-1: at least 0"),
        (lambda key: Stack.of(AGaLiTe, size=8, layers=0, key=key), "layers=0: at least 1"),
        (lambda key: Stack.of(AGaLiTe, size=8, gate="gur", key=key), "gate `gur`; did you mean `gru`"),
        (lambda key: Stack.of(AGaLiTe, size=8, act="rellu", key=key), "act `rellu`; did you mean `relu`"),
        (lambda key: Stack.of(AGaLiTe, size=8, ffn=0, key=key), "ffn=0: at least 1"),
        (lambda key: Stack.of(GRU, size=8, units=4, key=key), "must keep its width: size=8, the cell gives 4"),
        (lambda key: MEMORIES["agalit"], "unknown memory `agalit`; did you mean `agalite`"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(BadInput, match=message):
        build(jax.random.key(0))


def test_names_of_memories_need_no_jax():
    code = "import sys; from romanesco.memory import MEMORIES; print(*MEMORIES); assert 'jax' not in sys.modules"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert names.split() == list(MEMORIES)
