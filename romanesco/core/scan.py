"""Scans: the ways this house walks along time. T time, `*s` any state shape."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

UNROLL = 8  # CPU: 3x faster than a plain scan, 7x faster than `associative_scan`


def _sequential(decay, update, start):
    def one(h, x):
        decay, update = x
        h = jnp.where(decay == 0, 0.0, decay * h) + update
        return h, h

    return jax.lax.scan(one, start, (decay, update), unroll=UNROLL)[1]


def _parallel(decay, update, start):
    def compose(f, g):
        (a, b), (c, d) = f, g
        shut = c == 0
        return jnp.where(shut, 0.0, c * a), jnp.where(shut, 0.0, c * b) + d

    update = update.at[0].add(jnp.where(decay[0] == 0, 0.0, decay[0] * start))
    return jax.lax.associative_scan(compose, (jnp.broadcast_to(decay, update.shape), update))[1]


def _by_backend(decay, update, start):
    return jax.lax.platform_dependent(decay, update, start, cpu=_sequential, default=_parallel)


ROUTES: dict[str, Callable] = {"auto": _by_backend, "sequential": _sequential, "parallel": _parallel}


def linear_scan(
    decay: Float[Array, "T *#s"], update: Float[Array, "T *s"], start: Float[Array, "*s"], *, route: str = "auto"
) -> Float[Array, "T *s"]:
    """All h_t = decay_t h_{t-1} + update_t, t = 1..T (parallel form: Blelloch, 1990).

    A decay of exactly 0 *selects* 0, so that a reset forgets even a NaN and no gradient crosses it. `decay` has as
    many axes as `update`, each of equal length or 1 (the time axis is never broadcast). `route` is `auto` (sequential
    on a CPU, elsewhere in log T depth), `sequential` or `parallel`. The gradient is one more scan, backwards, and
    keeps only decay, h and start; it can be differentiated again in reverse, not forward (`jvp`).
    """
    return _linear_scan(route, decay, update, start)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear_scan(route, decay, update, start):
    return ROUTES[route](decay, update, start)


def _forward(route, decay, update, start):
    h = _linear_scan(route, decay, update, start)
    return h, (decay, h, start)


def _backward(route, residuals, h_):  # `x_` is the adjoint of x
    decay, h, start = residuals
    later = jnp.concatenate([decay[1:], jnp.zeros_like(decay[:1])])
    g = jnp.flip(_linear_scan(route, jnp.flip(later, 0), jnp.flip(h_, 0), jnp.zeros_like(start)), 0)
    before = jnp.concatenate([start[None], h[:-1]])
    decay_ = jnp.where(decay == 0, 0.0, g * before)
    narrow = tuple(i for i in range(1, decay.ndim) if decay.shape[i] == 1 != g.shape[i])
    start_ = jnp.where(decay[0] == 0, 0.0, decay[0] * g[0])
    return decay_.sum(narrow, keepdims=True), g, start_


_linear_scan.defvjp(_forward, _backward)


def times(a: Float[Array, "2 *s"], b: Float[Array, "2 *s"]) -> Float[Array, "2 *s"]:
    """The complex product; a complex number is its real part and its imaginary part on the first axis."""
    return jnp.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]])


def _conjugate(a):
    return jnp.stack([a[0], -a[1]])


def _turn_sequential(decay, update, start, first):
    def one(h, x):
        update, first = x
        h = jnp.where(first, 0.0, times(decay, h)) + update
        return h, h

    return jax.lax.scan(one, start, (update, first), unroll=UNROLL)[1]


def _turn_parallel(decay, update, start, first):
    def compose(f, g):
        (a, p, b), (c, q, d) = f, g
        return jax.vmap(times)(c, a), p | q, jnp.where(q, 0.0, jax.vmap(times)(c, b)) + d

    update = update.at[0].add(jnp.where(first[0], 0.0, times(decay, start)))
    first = first.reshape(-1, *[1] * start.ndim)
    return jax.lax.associative_scan(compose, (jnp.broadcast_to(decay, update.shape), first, update))[2]


def _turn_by_backend(*args):
    return jax.lax.platform_dependent(*args, cpu=_turn_sequential, default=_turn_parallel)


TURNS: dict[str, Callable] = {"auto": _turn_by_backend, "sequential": _turn_sequential, "parallel": _turn_parallel}


def complex_scan(
    decay: Float[Array, "2 *s"],
    update: Float[Array, "T 2 *s"],
    start: Float[Array, "2 *s"],
    first: Bool[Array, "T"],
    *,
    route: str = "auto",
) -> Float[Array, "T 2 *s"]:
    """All h_t = decay h_{t-1} + update_t, t = 1..T, of complex numbers as `times` takes them; 0 for h_{t-1} at `first`.

    Routes, resets and gradients are as in `linear_scan`. The decay is constant in time and never copied along it, nor
    along a batch of streams; that is 2x faster on a CPU than decays with a time axis, and 10x faster than a real
    decay in a frame that turns with h, which also adds the error of a phase that counts the steps.
    """
    return _complex_scan(route, decay, update, start, first)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _complex_scan(route, decay, update, start, first):
    return TURNS[route](decay, update, start, first)


def _turn_forward(route, decay, update, start, first):
    h = _complex_scan(route, decay, update, start, first)
    return h, (decay, h, start, first)


def _turn_backward(route, residuals, h_):
    decay, h, start, first = residuals
    back, later = _conjugate(decay), jnp.concatenate([first[1:], jnp.ones_like(first[:1])])
    g = jnp.flip(_complex_scan(route, back, jnp.flip(h_, 0), jnp.zeros_like(start), jnp.flip(later)), 0)
    before = jax.vmap(_conjugate)(jnp.concatenate([start[None], h[:-1]]))
    decay_ = jnp.where(first.reshape(-1, *[1] * start.ndim), 0.0, jax.vmap(times)(g, before)).sum(0)
    return decay_, g, jnp.where(first[0], 0.0, times(back, g[0])), None


_complex_scan.defvjp(_turn_forward, _turn_backward)


def scan_steps(
    step: Callable, carry: PyTree, xs: PyTree[Array], first: Bool[Array, "T"], *, chunk: int = 16
) -> tuple[Any, PyTree[Array]]:
    """`sequence` of a memory from its `step`: `lax.scan` over checkpointed chunks.

    The backward pass keeps the carries at chunk borders and computes the rest again; steps that pad the last chunk
    leave the carry unchanged.
    """
    T = first.shape[0]
    if T == 0:
        raise ValueError("a sequence of T = 0 steps has no last carry")
    chunk = min(chunk, T)
    pad = -T % chunk

    def fold(x):
        return jnp.pad(x, ((0, pad),) + ((0, 0),) * (x.ndim - 1)).reshape(-1, chunk, *x.shape[1:])

    def one(carry, inputs):
        x, first, real = inputs
        moved, y = step(carry, x, first)
        return (jax.tree.map(lambda new, old: jnp.where(real, new, old), moved, carry) if pad else moved), y

    inputs = jax.tree.map(fold, (xs, first, jnp.ones(T, bool)))
    carry, ys = jax.lax.scan(jax.checkpoint(lambda carry, part: jax.lax.scan(one, carry, part)), carry, inputs)
    return carry, jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:T], ys)
