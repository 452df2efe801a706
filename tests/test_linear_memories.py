"""Memories with a linear recurrence against their definitions, slow loops in float64; and how they are at birth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_memory_cells import SIZE, affine, float64, inputs, require_both, sigmoid  # noqa: F401

from romanesco.memory import LRU, MinGRU


def mingru(cell, xs, first):
    ys, h = [], np.zeros(SIZE)
    for x, new in zip(xs, first, strict=True):
        z, c = np.split(affine(cell.enter, x), 2)
        c = np.array([u + 0.5 if u >= 0 else sigmoid(u) for u in c])
        h = (1 - sigmoid(z)) * (0 if new else h) + sigmoid(z) * c
        ys.append(h)
    return np.stack(ys)


def eigenvalues(poles):
    return np.exp(-np.exp(np.asarray(poles.nu)) + 1j * np.exp(np.asarray(poles.theta)))


def lru(cell, xs, first):
    lam, D = eigenvalues(cell.poles), np.asarray(cell.skip)
    (Br, Bi), (Cr, minus_Ci) = np.split(np.asarray(cell.enter.weight), 2), np.split(np.asarray(cell.leave.weight), 2, 1)
    B, C = Br + 1j * Bi, Cr - 1j * minus_Ci
    ys, h = [], np.zeros(SIZE)
    for x, new in zip(xs, first, strict=True):
        h = lam * (0 if new else h) + np.sqrt(1 - abs(lam) ** 2) * (B @ x)
        ys.append((C @ h).real + D * x)
    return np.stack(ys)


@pytest.mark.parametrize(("cell_class", "definition"), [(MinGRU, mingru), (LRU, lru)])
def test_cell_is_its_definition(float64, cell_class, definition):  # noqa: F811
    require_both(cell_class(SIZE, key=jax.random.key(0)), definition)


# At birth


def test_mingru_time_constants_are_spread_evenly_in_logarithm():
    bias = np.asarray(MinGRU(128, key=jax.random.key(0)).enter.bias)
    octaves = np.log2(1 / sigmoid(bias[:128]))
    np.testing.assert_allclose(octaves, 7 * (np.arange(128) + 0.5) / 128, atol=1e-4)
    assert not bias[128:].any()


def test_lru_poles_fill_their_sector():
    lam = eigenvalues(LRU(1000, key=jax.random.key(0)).poles)
    radius, angle = abs(lam), np.angle(lam)
    assert 0.9 < radius.min() < 0.901 and 0.998 < radius.max() <= 0.99901
    assert 0 < angle.min() < 0.01 and 0.3 < angle.max() <= np.pi / 10 + 1e-6
    area = (radius**2 - 0.9**2) / (0.999**2 - 0.9**2)
    np.testing.assert_allclose([area.mean(), area.std()], [1 / 2, 12**-0.5], atol=0.03)
    np.testing.assert_allclose([angle.mean(), angle.std()], [np.pi / 20, np.pi / 10 / 12**0.5], atol=0.01)


def test_a_pole_stays_within_the_circle_whatever_is_learned(float64):  # noqa: F811
    poles = LRU(SIZE, key=jax.random.key(0)).poles
    for nu in (-9.0, 9.0):
        decay, scale = eqx.tree_at(lambda m: m.nu, poles, jnp.full(SIZE, nu))()
        np.testing.assert_allclose((decay**2).sum(0) + scale**2, 1)
        assert ((decay**2).sum(0) < 1).all()
