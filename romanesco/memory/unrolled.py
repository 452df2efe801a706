"""What linear memories read, step by step. T time: t reads what j wrote. H heads, d head width."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

BATCH = 64  # writing steps that are followed at once


def unrolled(
    read: Callable[[Any, Float[Array, "T H d"]], tuple[Any, Float[Array, "T H d"]]],
    carry: Any,
    silent: Any,
    values: Float[Array, "T H d"],
    *,
    width: int | None = None,
) -> tuple[Any, Float[Array, "T H d"], dict[str, Array]]:
    """The weights of a memory whose read-outs are linear in the values that it is given, in O(T^2) steps.

    `read(carry, values)` gives the last carry and the read-outs, keys, queries and gates being fixed; `silent` is the
    carry in which all values that were written are 0. -> the last carry, the read-outs, and by name: `signed` [H t j],
    the weight of step j's value in the read-out of t, which is what is read where that value is 1 and all others are
    0, the mean over value channels, of which `width` suffice where all weigh alike; it may be negative, and rows sum
    to anything. `before` [H T], the share of the read-out a that the carry gives, a_carry . a / a . a: 0 after a reset,
    and where a is 0. `values` and `read` [H T d], what is weighed and the read-outs.
    """
    T, H, d = values.shape

    def of(j):  # -> [T H]
        alone = jnp.arange(T)[:, None, None] == j
        return read(silent, jnp.broadcast_to(alone, (T, H, width or d)).astype(values.dtype))[1].mean(-1)

    signed = jax.lax.map(of, jnp.arange(T), batch_size=min(T, BATCH))
    (after, a), (_, carried) = read(carry, values), read(carry, jnp.zeros_like(values))
    size = (a**2).sum(-1)
    before = jnp.where(size > 0, (carried * a).sum(-1) / jnp.where(size > 0, size, 1), 0.0)
    told = {"signed": signed.T, "before": before.T}
    return after, a, {**told, "values": values.swapaxes(0, 1), "read": a.swapaxes(0, 1)}
