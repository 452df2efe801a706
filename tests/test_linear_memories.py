"""Memories with a linear recurrence against their definitions, slow loops in float64; and how they are at birth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_memory_cells import SIZE, affine, float64, inputs, require_both, sigmoid  # noqa: F401

from romanesco.core.errors import BadInput
from romanesco.memory import FFM, LRU, RTU, MinGRU


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


def rtu(cell, xs, first):
    r, theta = np.exp(-np.exp(np.asarray(cell.poles.nu))), np.exp(np.asarray(cell.poles.theta))
    Wa, Wb = np.split(np.asarray(cell.enter.weight), 2)
    ys, a, b = [], np.zeros(len(r)), np.zeros(len(r))
    for x, new in zip(xs, first, strict=True):
        a, b = (0 * a, 0 * b) if new else (a, b)
        a, b = (
            r * np.cos(theta) * a - r * np.sin(theta) * b + np.sqrt(1 - r**2) * (Wa @ x),
            r * np.cos(theta) * b + r * np.sin(theta) * a + np.sqrt(1 - r**2) * (Wb @ x),
        )
        ys.append(np.maximum(np.concatenate([a, b]), 0))
    return np.stack(ys)


def ffm(cell, xs, first):
    alpha, omega = np.exp(np.asarray(cell.rate)), np.asarray(cell.omega)
    M, D = len(alpha), cell.size_out
    ys, S = [], np.zeros((M, len(omega)), np.complex128)
    for x, new in zip(xs, first, strict=True):
        value, gate, out, through = np.split(affine(cell.enter, x), [M, 2 * M, 2 * M + D])
        S = 0 * S if new else S
        for j in range(M):
            for k in range(len(omega)):
                S[j, k] = np.exp(-alpha[j] + 1j * omega[k]) * S[j, k] + value[j] * sigmoid(gate[j])
        z = affine(cell.leave, np.concatenate([S.real.ravel(), S.imag.ravel()]))
        z = (z - z.mean()) / np.sqrt(z.var() + 1e-6)
        ys.append(z * sigmoid(out) + through * (1 - sigmoid(out)))
    return np.stack(ys)


CELLS = [(MinGRU, mingru, {}), (LRU, lru, {}), (RTU, rtu, {"units": 4}), (FFM, ffm, {"units": 5, "traces": 3})]


@pytest.mark.parametrize(("cell_class", "definition", "settings"), CELLS)
def test_cell_is_its_definition(float64, cell_class, definition, settings):  # noqa: F811
    require_both(cell_class(SIZE, key=jax.random.key(0), **settings), definition)


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


def test_rtu_poles_fill_their_disc():
    lam = eigenvalues(RTU(1000, key=jax.random.key(0)).poles)
    assert abs(lam).max() <= 0.99901
    np.testing.assert_allclose([(abs(lam) ** 2).mean(), abs(lam.mean())], [0.998 / 2, 0], atol=0.05)


def test_ffm_traces_and_contexts_are_those_of_the_authors():
    cell = FFM(SIZE, key=jax.random.key(0))
    kept = np.exp(-np.exp(np.asarray(cell.rate)))
    np.testing.assert_allclose([kept[0], kept[-1] ** 1024], [0.51, 0.01], rtol=0.01)
    np.testing.assert_allclose(2 * np.pi / cell.omega, [1, 342, 683, 1024], rtol=1e-6)
    assert (np.diff(kept) > 0).all()


@pytest.mark.parametrize("field", ["units", "traces", "contexts"])
def test_bad_sizes_are_named(field):
    with pytest.raises(BadInput, match=f"{field}=0: at least 1"):
        FFM(SIZE, key=jax.random.key(0), **{field: 0})
