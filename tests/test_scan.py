"""`linear_scan`, `complex_scan` and `scan_steps` against loops, with their gradients, on every route."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.scan import ROUTES, complex_scan, linear_scan, scan_steps

T = 11


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def loop(decay, update, start):
    hs, h = [], start
    for t in range(len(update)):
        h = jnp.where(decay[t] == 0, 0.0, decay[t] * h) + update[t]
        hs.append(h)
    return jnp.stack(hs)


def inputs(broadcast=False):
    k_decay, k_update, k_start = jax.random.split(jax.random.key(0), 3)
    decay = jax.random.uniform(k_decay, (T, 1 if broadcast else 2, 3)).at[jnp.array([4, 8])].set(0)
    return decay, jax.random.normal(k_update, (T, 2, 3)), jax.random.normal(k_start, (2, 3))


def total(scan):
    return lambda args: jnp.sin(scan(*args)).sum()


def steepness(scan):
    """A number that holds first derivatives, to be differentiated again."""
    return lambda args: sum((x**2).sum() for x in jax.tree.leaves(jax.grad(total(scan))(args)))


def close(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), got, want)


@pytest.fixture(params=ROUTES)
def scan(request):
    return lambda *args: linear_scan(*args, route=request.param)


@pytest.mark.parametrize("broadcast", [False, True])
def test_linear_scan_is_a_loop(scan, broadcast):
    close(scan(*inputs(broadcast)), loop(*inputs(broadcast)))


@pytest.mark.parametrize("broadcast", [False, True])
def test_gradient_is_the_loops(scan, broadcast):
    got, want = (jax.grad(total(f))(inputs(broadcast)) for f in (scan, loop))
    assert got[0].shape == inputs(broadcast)[0].shape
    close(got, want)


def test_second_order_is_the_loops(scan):
    close(*(jax.grad(steepness(f))(inputs()) for f in (scan, loop)))


def test_vmap_is_a_loop(scan):
    decay, update, start = inputs()
    want = jnp.stack([scan(decay, update, start * n) for n in (1.0, 2.0)])
    close(jax.vmap(scan, (None, None, 0))(decay, update, jnp.stack([start, start * 2])), want)


def test_zero_decay_forgets_nan(scan):
    decay, update, start = inputs()
    sick = decay, update.at[2].set(jnp.nan), start * jnp.nan
    close(scan(*sick)[4:], scan(decay, update, start)[4:])


def test_no_gradient_crosses_a_zero_decay_even_from_nan(scan):
    decay, update, start = inputs()
    tail = lambda args: scan(*args)[4:].sum()
    decay_, update_, start_ = jax.grad(tail)((decay, update.at[2].set(jnp.nan), start * jnp.nan))
    assert not decay_[4].any() and not update_[:4].any() and not start_.any()
    sound = jax.grad(tail)((decay, update, start))
    close((decay_[5:], update_[4:]), (sound[0][5:], sound[1][4:]))


FIRST = np.isin(np.arange(T), [4, 8])


def complex_loop(decay, update, start, first=FIRST):
    decay, update, start = decay[0] + 1j * decay[1], update[:, 0] + 1j * update[:, 1], start[0] + 1j * start[1]
    hs, h = [], start
    for t in range(len(update)):
        h = jnp.where(first[t], 0.0, decay * h) + update[t]
        hs.append(jnp.stack([h.real, h.imag]))
    return jnp.stack(hs)


def complex_inputs():
    """Some of the decays grow."""
    k_decay, k_update, k_start = jax.random.split(jax.random.key(0), 3)
    normal = jax.random.normal
    return normal(k_decay, (2, 3)), normal(k_update, (T, 2, 3)), normal(k_start, (2, 3))


@pytest.fixture(params=["sequential", "parallel"])
def turn(request):
    scan = jax.jit(functools.partial(complex_scan, route=request.param))
    return lambda *args, first=FIRST: scan(*args, first)


def test_complex_scan_is_a_loop_with_its_gradient(turn):
    close(turn(*complex_inputs()), complex_loop(*complex_inputs()))
    close(*(jax.grad(total(f))(complex_inputs()) for f in (turn, complex_loop)))


def test_complex_scan_second_order_is_the_loops(turn):
    close(*(jax.grad(steepness(f))(complex_inputs()) for f in (turn, complex_loop)))


def test_complex_scan_vmap_is_a_loop(turn):
    decay, update, start = complex_inputs()
    firsts = np.stack([FIRST, ~FIRST])
    want = jnp.stack([turn(decay, update, start, first=first) for first in firsts])
    close(jax.vmap(lambda first: turn(decay, update, start, first=first))(firsts), want)


def test_complex_scan_forgets_nan_and_hands_it_no_gradient(turn):
    decay, update, start = complex_inputs()
    sick = update.at[2].set(jnp.nan), start * jnp.nan
    tail = lambda args: turn(decay, *args)[4:].sum()
    close(tail(sick), tail((update, start)))
    (update_, start_), sound = jax.grad(tail)(sick), jax.grad(tail)((update, start))
    assert not update_[:4].any() and not start_.any()
    close(update_, sound[0])
    forgets = lambda decay, start: turn(decay, update, start, first=np.arange(T) == 0).sum()
    close(*(jax.grad(forgets)(decay, start) for start in (start, start * jnp.nan)))


def rotate(carry, x, first):
    """A small nonlinear memory."""
    h, n = carry
    h = jnp.tanh(jnp.where(first, 0.0, h) @ jnp.array([[0.6, -0.8], [0.8, 0.6]]) + x)
    return (h, n + 1), h * 2


@pytest.mark.parametrize(("steps", "chunk"), [(1, 4), (7, 8), (8, 4), (11, 4), (11, 1)])
def test_scan_steps_is_a_scan(steps, chunk):
    xs, first = inputs()[1][:steps, 0, :2], jnp.arange(steps) == 5
    start = jnp.ones(2), jnp.int32(0)
    want = jax.lax.scan(lambda carry, x: rotate(carry, *x), start, (xs, first))
    close(scan_steps(rotate, start, xs, first, chunk=chunk), want)


def test_scan_steps_gradient_is_the_scans():
    xs, first = inputs()[1][:, 0, :2], jnp.arange(T) == 5
    start = jnp.ones(2)

    def by_chunks(h, xs):
        (h, _), ys = scan_steps(rotate, (h, jnp.int32(0)), xs, first, chunk=4)
        return ys.sum() + (h**2).sum()

    def plain(h, xs):
        (h, _), ys = jax.lax.scan(lambda carry, x: rotate(carry, *x), (h, jnp.int32(0)), (xs, first))
        return ys.sum() + (h**2).sum()

    close(*(jax.grad(f, (0, 1))(start, xs) for f in (by_chunks, plain)))


def test_scan_steps_refuses_no_steps():
    with pytest.raises(ValueError, match="T = 0"):
        scan_steps(rotate, (jnp.ones(2), jnp.int32(0)), jnp.zeros((0, 2)), jnp.zeros(0, bool))
