"""A1, A2: a memory's `explain` returns what `sequence` returns, and the weights that made it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.laws.verdict import close
from romanesco.memory import GTrXL, Stack, Window

T, AT, WIDTH = 23, 13, 9  # a second segment starts at AT; a query sees WIDTH steps
FIRST = np.isin(np.arange(T), [0, 3, 16])


@jax.jit
def explained(memory, carry, xs, first):
    return memory.explain(carry, xs, first)


@jax.jit
def plain(memory, carry, xs, first):
    return memory.sequence(carry, xs, first)


@pytest.fixture(params=[Window, GTrXL])
def cell_and_inputs(request):
    return request.param.example(jax.random.key(0), T)


def values(cell, xs):
    return jax.vmap(lambda x: cell._enter(x)[-1])(xs)  # [T H d]


def test_explain_is_sequence_and_its_weights(cell_and_inputs):
    cell, xs = cell_and_inputs
    inputs = cell, cell.init_carry(), xs, jnp.asarray(FIRST)
    carry, ys, maps = explained(*inputs)
    close((carry, ys), plain(*inputs), what="A1: outputs of `explain`, against those of `sequence`")
    close(maps["attention"].sum(-1), np.ones((2, T), np.float32), what="A2: sums of rows")
    close(maps["before"], np.zeros((2, T), np.float32), what="A2: weight of steps before the first")
    episode, age = np.cumsum(FIRST), np.arange(T)[:, None] - np.arange(T)
    seen = (age >= 0) & (age < WIDTH) & (episode[:, None] == episode)
    np.testing.assert_array_equal(maps["attention"] > 0, np.broadcast_to(seen, (2, T, T)))
    read = jnp.einsum("htj,jhd->thd", maps["attention"], values(cell, xs))
    close(ys, cell._leave(read), what="outputs, against the values that the weights gather")


def test_weight_of_earlier_segments_is_told_apart(cell_and_inputs):
    cell, xs = cell_and_inputs
    first = jnp.asarray(FIRST)
    whole = explained(cell, cell.init_carry(), xs, first)[2]["attention"][:, AT:]
    carry = explained(cell, cell.init_carry(), xs[:AT], first[:AT])[0]
    maps = explained(cell, carry, xs[AT:], first[AT:])[2]
    close(maps, {"attention": whole[..., AT:], "before": whole[..., :AT].sum(-1)}, what="a segment's weights")
    assert (maps["before"][:, :3] > 0.01).all() and (maps["before"][:, 3:] == 0).all()


def test_maps_of_a_stack_are_those_of_its_cells():
    stack = Stack.of(GTrXL, layers=2, size=6, heads=2, head_size=4, window=WIDTH, key=jax.random.key(0))
    inputs = stack, stack.init_carry(), jax.random.normal(jax.random.key(1), (T, 6)), jnp.asarray(FIRST)
    carry, ys, maps = explained(*inputs)
    close((carry, ys), plain(*inputs), what="A1: outputs of `explain`, against those of `sequence`")
    lower = eqx.tree_at(lambda m: m.layers, stack, stack.layers[:1])
    below = explained(lower, inputs[1][:1], *inputs[2:])[2]
    assert maps["attention"].shape == (2, 2, T, T) and maps["before"].shape == (2, 2, T)
    close(jax.tree.map(lambda x: x[:1], maps), below, what="maps of the first layer")
