"""Fresh states for those streams alone whose episode ended."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, PyTree


def lazy(make: Callable[..., PyTree[Array]], *, width: int) -> Callable[..., PyTree[Array]]:
    """-> a function (when, old, *args) that returns `make(*args)` where `when`, else `old`, like a select.

    Under `vmap` a select pays `make` for every stream at every step. This loops over the streams with `when`, `width`
    at a time, and makes nothing for the others; nested `vmap`s loop over all their streams as one batch. `make` reads
    arrays from its arguments alone. No gradient passes.
    """

    def function(when: Bool[Array, ""], old: PyTree[Array], *args: Any) -> PyTree[Array]:
        leaves, treedef = jax.tree.flatten(args)
        fresh = lambda *leaves: make(*jax.tree.unflatten(treedef, leaves))

        @custom_vmap
        def one(when, old, *leaves):
            return jax.lax.cond(when, lambda: fresh(*leaves), lambda: old)

        @one.def_vmap
        def rule(size, batched, when, old, *leaves):
            whole = lambda x, b: x if b else _spread(x, size, 0)
            when, old = whole(when, batched[0]), jax.tree.map(whole, old, batched[1])
            made = _streams(fresh, width, batched[2:])(when, old, *leaves)
            return made, jax.tree.map(lambda _: True, made)

        return one(*jax.lax.stop_gradient((when, old, *leaves)))

    return function


def _streams(make: Callable[..., PyTree[Array]], width: int, batched: list[bool]) -> Callable[..., PyTree[Array]]:
    """`lazy` over a batch: when [B], old [B ...]; of the leaves those are [B ...] that are `batched`."""

    @custom_vmap
    def many(when, old, *leaves):
        B = when.shape[0]
        lanes = min(width, B)
        ended = jnp.nonzero(when, size=-(-B // lanes) * lanes, fill_value=B)[0].reshape(-1, lanes)  # B: nobody
        axes = [0 if b else None for b in batched]

        def fill(i, state):
            at = ended[i]
            given = [leaf.at[at].get(mode="clip") if b else leaf for leaf, b in zip(leaves, batched, strict=True)]
            made = jax.vmap(make, in_axes=axes, axis_size=lanes)(*given)
            return jax.tree.map(lambda x, new: x.at[at].set(new, mode="drop"), state, made)

        return jax.lax.fori_loop(0, -(-when.sum() // lanes), fill, old)

    @many.def_vmap
    def nested(A, outer, when, old, *leaves):
        B = when.shape[-1]
        fold = lambda x, outer, inner: _one_axis(x, outer, inner, A, B)
        both = [o or inner for o, inner in zip(outer[2:], batched, strict=True)]
        folded = map(fold, leaves, outer[2:], batched)
        when, flat = fold(when, outer[0], True), jax.tree.map(lambda x, o: fold(x, o, True), old, outer[1])
        made = _streams(make, width, both)(when, flat, *folded)
        apart = jax.tree.map(lambda x: x.reshape(A, B, *x.shape[1:]), made)
        return apart, jax.tree.map(lambda _: True, apart)

    return many


def _spread(x: Array, size: int, axis: int) -> Array:
    return jnp.repeat(jnp.expand_dims(x, axis), size, axis)


def _one_axis(x: Array, outer: bool, inner: bool, A: int, B: int) -> Array:
    """-> [A B ...], of which x may lack the outer or the inner axis, as [A*B ...]; without both as it is."""
    if not (outer or inner):
        return x
    x = x if outer else _spread(x, A, 0)
    x = x if inner else _spread(x, B, 1)
    return x.reshape(A * B, *x.shape[2:])
