"""Convolutions: both ways against SciPy's correlation, their gradients against one another."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from romanesco.core.convolution import blocks, convolution, convolve

CASES = [
    ((12, 15, 3), 5, 8, 4),
    ((20, 20, 5), 7, 4, 2),
    ((9, 7, 2), 3, 3, 1),
    ((11, 8, 1), 2, 5, 3),
    ((6, 6, 2), 3, 2, 4),
]


def case(shape, out, side):
    k1, k2 = jax.random.split(jax.random.key(0))
    return jax.random.normal(k1, shape), jax.random.normal(k2, (out, shape[-1], side, side))


@pytest.mark.parametrize("way", [blocks, convolution])
@pytest.mark.parametrize(("shape", "out", "side", "stride"), CASES)
def test_it_is_a_correlation(way, shape, out, side, stride):
    x, weight = case(shape, out, side)
    slow = [
        sum(correlate(x[..., i], kernel[i], mode="valid")[::stride, ::stride] for i in range(shape[-1]))
        for kernel in np.asarray(weight)
    ]
    np.testing.assert_allclose(way(stride)(x, weight), np.stack(slow, -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "out", "side", "stride"), CASES)
def test_both_ways_have_the_same_gradients(shape, out, side, stride):
    x, weight = case(shape, out, side)
    gradient = lambda way: jax.grad(lambda *args: (way(stride)(*args) ** 2).sum(), (0, 1))(x, weight)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *map(gradient, (blocks, convolution))
    )


def test_a_layer_is_its_own_call_with_the_channels_last():
    layer = eqx.nn.Conv2d(3, 4, 5, 2, key=jax.random.key(1))
    x = jax.random.normal(jax.random.key(2), (13, 10, 3))
    np.testing.assert_allclose(
        convolve(layer, x), jnp.transpose(layer(jnp.transpose(x, (2, 0, 1))), (1, 2, 0)), rtol=1e-5, atol=1e-5
    )
