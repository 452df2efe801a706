"""M5 for GTrXL: against its definition, a slow loop in float64; and what it promises."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_memory_cells import FIRST, SIZE, affine, both_ways, by_sequence, inputs, require_both

from romanesco.core.errors import BadInput
from romanesco.memory import GTrXL, Stack, Window
from romanesco.memory.gtrxl import sinusoids


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def layer_norm(norm, x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * np.asarray(norm.scale) + np.asarray(norm.shift)


def gtrxl(cell, xs, first):
    """With R_a = Wr sinusoid(a) for every age (memory.md 4.3)."""
    H, d, D, ys, start = cell.heads, cell.head_size, xs.shape[1], [], 0
    u, v_b = np.asarray(cell.content_bias), np.asarray(cell.position_bias)
    waves = [
        [f(a * 10000 ** (-2 * i / D)) for f in (np.sin, np.cos) for i in range(D // 2)] for a in range(cell.window)
    ]
    R = [(np.asarray(cell.position.weight) @ wave).reshape(H, d) for wave in waves]
    normed = [layer_norm(cell.norm, e) for e in xs]
    kv = [affine(cell.enter, x).reshape(2, H, d) for x in normed]
    for t, e in enumerate(xs):
        start = t if first[t] else start
        q = affine(cell.query, normed[t] if cell.query_norm else e).reshape(H, d)
        seen = [j for j in range(t + 1) if j >= start and t - j < cell.window]
        a = np.zeros((H, d))
        for h in range(H):
            logits = [(q + u)[h] @ kv[j][0, h] + (q + v_b)[h] @ R[t - j][h] for j in seen]
            weights = np.exp(np.array(logits) / np.sqrt(d))
            a[h] = sum(w * kv[j][1, h] for w, j in zip(weights / weights.sum(), seen, strict=True))
        ys.append(affine(cell.leave, a.reshape(-1)))
    return np.stack(ys)


def lived(**settings):
    """A cell in which no parameter is 0 or 1."""
    cell = GTrXL(SIZE, heads=2, head_size=4, key=jax.random.key(0), **settings)
    leaves, structure = jax.tree.flatten(cell)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    return structure.unflatten([x + jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)])


@pytest.mark.parametrize("query_norm", [True, False])
@pytest.mark.parametrize("width", [2, 5, 64])
def test_gtrxl_is_its_definition(float64, width, query_norm):
    require_both(lived(window=width, query_norm=query_norm), gtrxl)


@pytest.mark.parametrize("flaw", ["content_bias", "position_bias", "position"])
def test_definition_refuses_a_cell_without(float64, flaw):
    cell = lived(window=5)
    flawed = eqx.tree_at(lambda m: getattr(m, flaw), cell, replace_fn=lambda part: jax.tree.map(jnp.zeros_like, part))
    with pytest.raises(AssertionError):
        require_both(flawed, lambda _, *inputs: gtrxl(cell, *inputs))


def test_sinusoids_of_an_odd_size_lack_a_cosine():
    np.testing.assert_array_equal(
        sinusoids(4, 5)[:, :3], np.sin(np.arange(4)[:, None] * 10000 ** (-np.arange(3) / 2.5))
    )
    assert sinusoids(4, 5).shape == (4, 5)


@pytest.mark.parametrize("width", [2, 4])
def test_gtrxl_is_strict(width):
    cell, T = lived(window=width), len(FIRST)
    last = lambda xs: by_sequence(cell, xs, jnp.zeros(T, bool))[-1].sum()
    reached = np.abs(jax.grad(last)(inputs())).sum(1) > 0
    np.testing.assert_array_equal(reached, np.arange(T) >= T - width)


def test_nan_reaches_those_who_can_see_it():
    first = np.isin(np.arange(len(FIRST)), [11])
    for ys in both_ways(lived(window=4), inputs().at[9].set(jnp.nan).at[20].set(jnp.nan), first):
        np.testing.assert_array_equal(np.isnan(ys).any(1), np.isin(np.arange(len(ys)), [9, 10, 20, 21, 22, 23]))


@pytest.mark.parametrize("cell_class", [Window, GTrXL])
def test_a_ring_keeps_no_nan_of_an_episode_that_has_ended(cell_class):
    """`step` reads all slots, those that are not alive with weight 0."""
    cell, xs = cell_class.example(jax.random.key(0), 7)
    carry, _ = jax.jit(lambda *args: cell.sequence(*args))(cell.init_carry(), xs.at[2].set(jnp.nan), jnp.arange(7) == 4)
    assert carry.alive.sum() == 3
    assert all(jnp.isfinite(x).all() and (x[:, ~carry.alive] == 0).all() for x in (carry.keys, carry.values))


def test_a_stack_hands_the_stream_to_cells_that_normalize(float64):
    stack = Stack.of(
        GTrXL, layers=1, size=SIZE, heads=2, head_size=4, window=5, query_norm=False, key=jax.random.key(0)
    )
    (layer,) = stack.layers
    relu = lambda x: np.maximum(x, 0)
    h = layer.gate(inputs(), jnp.asarray(relu(gtrxl(layer.cell, np.asarray(inputs()), FIRST))))
    ffn = [affine(layer.down, relu(affine(layer.up, layer_norm(layer.ffn_norm, x)))) for x in np.asarray(h)]
    want = layer.ffn_gate(h, jnp.asarray(relu(np.stack(ffn))))
    np.testing.assert_allclose(by_sequence(stack, inputs(), jnp.asarray(FIRST)), want, rtol=1e-9, atol=1e-11)


def numbers(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_published_stack_has_the_published_size():
    """But for u and v, which each layer has for itself, and the bias of Wr, which the softmax cancels."""
    stack = jax.eval_shape(lambda: Stack.of(GTrXL, window=129, key=jax.random.key(0)))
    encoder = 16 * 128 + 128
    assert numbers(stack) + encoder == 1_584_256 + 3 * 2 * 256 - 4 * 256


def test_an_older_step_costs_little():
    """The published code projects every slot again at every step: 200 kFLOP a slot and layer."""

    def flops(window):
        def build(key):
            cell = GTrXL(128, window=window, key=key)
            return cell, cell.init_carry()

        inputs = *jax.eval_shape(build, jax.random.key(0)), jnp.zeros(128), jnp.array(False)
        return jax.jit(lambda cell, *inputs: cell.step(*inputs)).lower(*inputs).compile().cost_analysis()["flops"]

    assert 500 < (flops(72) - flops(8)) / 64 < 20_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"window": 1}, "window=1: at least 2"), ({"heads": 0}, "heads=0: at least 1"), ({"head_size": 0}, "head_size=0")],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(BadInput, match=message):
        GTrXL(8, **settings, key=jax.random.key(0))
