"""`lazy` is a select that makes no more than it needs (laws E6 and E10 hold of worlds that use it)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.envs.lazy import lazy

B, A = 10, 3
WHEN = jnp.array([0, 1, 0, 0, 1, 1, 0, 1, 0, 1], bool)
OLD = {"x": jnp.zeros(B), "n": -jnp.ones((B, 2), jnp.int32)}
SCALE = jnp.float32(2)


def double(scale, x):
    return {"x": scale * x, "n": jnp.full(2, x, jnp.int32)}


def counted(made):
    def make(scale, x):
        jax.debug.callback(lambda x: made.append(x), x)
        return double(scale, x)

    return make


def select(when, old, scale, x):
    return jax.tree.map(lambda new, old: jnp.where(when, new, old), double(scale, x), old)


@pytest.mark.parametrize("width", [1, 4, 16])
def test_one_batch_makes_what_ended(width):
    made, x = [], jnp.arange(B, dtype=jnp.float32)
    over = lambda f: jax.jit(jax.vmap(f, in_axes=(0, 0, None, 0)))
    got = over(lazy(counted(made), width=width))(WHEN, OLD, SCALE, x)
    jax.effects_barrier()
    jax.tree.map(np.testing.assert_array_equal, got, over(select)(WHEN, OLD, SCALE, x))
    asked = {1: 5, 4: 8, 16: 10}[width]  # five ended; the last round is filled up, to at most all ten
    assert len(made) == asked
    over(lazy(counted(made), width=width))(jnp.zeros_like(WHEN), OLD, SCALE, x)
    jax.effects_barrier()
    assert len(made) == asked  # nobody ended


@pytest.mark.parametrize("scales", [None, 0])
@pytest.mark.parametrize("x_axis", [None, 0])
def test_nested_batches_are_one(scales, x_axis):
    """Whichever argument an outer axis reaches."""
    made = []
    when = jnp.stack([WHEN, ~WHEN, WHEN & False])
    old = jax.tree.map(lambda x: jnp.stack([x] * A), OLD)
    scale = SCALE if scales is None else jnp.arange(1.0, A + 1)
    x = jnp.arange(B if x_axis is None else A * B, dtype=jnp.float32).reshape(*(() if x_axis is None else (A,)), B)

    def over(f):
        inner = jax.vmap(f, in_axes=(0, 0, None, 0))
        return jax.jit(jax.vmap(inner, in_axes=(0, 0, scales, x_axis)))

    got = over(lazy(counted(made), width=2))(when, old, scale, x)
    jax.effects_barrier()
    jax.tree.map(np.testing.assert_array_equal, got, over(select)(when, old, scale, x))
    assert len(made) == 10


def test_one_stream():
    made = []
    f = jax.jit(lazy(counted(made), width=2))
    old = jax.tree.map(lambda x: x[0], OLD)
    for when in (False, True):
        got = f(jnp.array(when), old, SCALE, jnp.float32(3))
        jax.tree.map(np.testing.assert_array_equal, got, select(when, old, SCALE, jnp.float32(3)))
    jax.effects_barrier()
    assert len(made) == 1


def test_a_gradient_of_something_else_passes():
    f = jax.vmap(lazy(double, width=2), in_axes=(0, 0, None, 0))
    loss = lambda w: (w * f(WHEN, {**OLD, "x": OLD["x"] + w}, w, w * jnp.ones(B))["x"]).sum()
    assert jax.jit(jax.grad(loss))(3.0) == jax.jit(f)(WHEN, {**OLD, "x": OLD["x"] + 3}, 3.0, 3 * jnp.ones(B))["x"].sum()
