"""Chunks of time for memories with matrix states. Q steps of a chunk: t reads what j wrote. `*s` any shape."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree


def scan_chunks(
    body: Callable, carry: PyTree, xs: PyTree[Array], first: Bool[Array, "T"], *, chunk: int
) -> tuple[Any, PyTree[Array]]:
    """`sequence` of a memory from body(carry, xs [Q ..], first [Q]) -> carry, ys [Q ..], which may be of any length.

    The backward pass keeps the carries between chunks and computes the rest again.
    """
    T = first.shape[0]
    if T == 0:
        raise ValueError("a sequence of T = 0 steps has no last carry")
    once = jax.checkpoint(lambda *args: body(*args))  # modules, and so their methods, cannot be hashed
    whole, parts = T - T % chunk, []
    if whole:
        folded = jax.tree.map(lambda x: x[:whole].reshape(-1, chunk, *x.shape[1:]), (xs, first))
        carry, ys = jax.lax.scan(lambda carry, part: once(carry, *part), carry, folded)
        parts.append(jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys))
    if whole < T:
        carry, ys = once(carry, *jax.tree.map(lambda x: x[whole:], (xs, first)))
        parts.append(ys)
    return carry, jax.tree.map(lambda *ys: jnp.concatenate(ys), *parts)


def seen(first: Bool[Array, "Q"]) -> tuple[Bool[Array, "Q Q"], Bool[Array, "Q"]]:
    """-> whether t sees j: no later and of its episode; and whether t sees what was carried into the chunk."""
    episode, t = jnp.cumsum(first), jnp.arange(len(first))
    return (episode[:, None] == episode) & (t[:, None] >= t), episode == 0


def phases(phase: Int[Array, ""], first: Bool[Array, "T"], start: int, period: int) -> Int[Array, "T"]:
    """Phases of steps of which the first would have `phase`, each episode starting anew at `start`."""
    t = jnp.arange(len(first))
    last = jax.lax.cummax(jnp.where(first, t, -1))
    return jnp.where(last < 0, phase + t, start + t - last) % period


def elapsed(log_decay: Float[Array, "Q *s"], first: Bool[Array, "Q"]) -> Float[Array, "Q *s"]:
    """Log-decays summed since the chunk began or the episode did, whose first step does not decay.

    Differences of sums over all of the chunk would do within an episode, but their gradients would cancel over an
    earlier one only up to rounding. A loop, not unrolled: what is inlined is computed again for every pair that reads
    it, which costs several times the rest.
    """

    def one(total, x):
        log_decay, new = x
        total = jnp.where(new, 0.0, total + log_decay)
        return total, total

    return jax.lax.scan(one, jnp.zeros_like(log_decay[0]), (log_decay, first))[1]


def faded(log_now: Float[Array, "*n"], log_then: Float[Array, "*n"], visible: Bool[Array, "*n"]) -> Float[Array, "*n"]:
    """exp(now - then) where `visible`, else 0."""
    return jnp.exp(jnp.where(visible, log_now - log_then, -jnp.inf))
