"""M5: with the parameters of the public AGaLiTe code our memories compute what it computed (README.md)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from public import HERE, agalite, galite, gru, gtrxl, load, lstm

from romanesco.core.layers import dense

GIVEN = np.load(HERE / "inputs.npz")
XS, FIRST = jnp.asarray(GIVEN["inputs"]), jnp.asarray(GIVEN["first"])
ONCE = jnp.arange(len(FIRST)) == 0
CALLS = np.cumsum((1, 7))  # where successive calls part; the last has 256 steps
TOLERANCE = 1e-5  # of max(1, |y|)


@jax.jit
def by_sequence(memory, xs, first):
    carry, ys = memory.init_carry(), []
    for part in zip(jnp.split(xs, CALLS), jnp.split(first, CALLS), strict=True):
        carry, y = memory.sequence(carry, *part)
        ys.append(y)
    return jnp.concatenate(ys)


@jax.jit
def by_step(memory, xs, first):
    return jax.lax.scan(lambda carry, x: memory.step(carry, *x), memory.init_carry(), (xs, first))[1]


def error(ys, reference):
    return float(np.max(np.abs(ys - reference) / np.maximum(1, np.abs(reference))))


def embedded(encoder):
    return jax.nn.relu(dense(encoder, XS))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8])
@pytest.mark.filterwarnings("ignore:basis=reference")
def test_agalite(channels):
    """The public clock never restarts, which matters from four channels on: there without resets."""
    params, outputs = load("agalite")
    encoder, stack = agalite(params, channels)
    ys = by_sequence(stack, embedded(encoder), FIRST if channels < 4 else ONCE)
    assert error(ys, outputs[str(channels)]) <= TOLERANCE


def test_galite():
    """In float64: its divisor may be small. Its dense layer before the first block has no relu."""
    params, outputs = load("galite")
    with jax.enable_x64(True):
        encoder, stack, xs = jax.tree.map(lambda x: x.astype(float), (*galite(params), XS))
        assert error(by_sequence(stack, dense(encoder, xs), FIRST), outputs["2"]) <= TOLERANCE / 10


@pytest.mark.parametrize("memory_len", [5, 40])
@pytest.mark.parametrize("way", [by_step, by_sequence])
def test_gtrxl(memory_len, way):
    """The public code acts with this context, and learns with a longer one."""
    params, outputs = load("gtrxl")
    encoder, stack = gtrxl(params, memory_len)
    assert error(way(stack, embedded(encoder), FIRST), outputs[str(memory_len)]) <= TOLERANCE


@pytest.mark.parametrize(("name", "build"), [("lstm", lstm), ("gru", gru)])
def test_recurrent_cells(name, build):
    params, outputs = load(name)
    assert error(by_sequence(build(params), XS, FIRST), outputs["6"]) <= TOLERANCE


@pytest.mark.filterwarnings("ignore:basis=reference")
def test_every_parameter_counts():
    """Parity fails where one array is 1 % off."""
    params, outputs = load("agalite")
    encoder, stack = agalite(params, 3)
    leaves, structure = jax.tree.flatten(stack)
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(stack)):
        other = jax.tree.unflatten(structure, [*leaves[:i], 1.01 * leaf, *leaves[i + 1 :]])
        assert error(by_sequence(other, embedded(encoder), FIRST), outputs["3"]) > 5 * TOLERANCE, path
