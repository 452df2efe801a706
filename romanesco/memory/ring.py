"""Attention over the last W steps of an episode. W window, H heads, d head width, N blocks of Q queries."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from romanesco.core.errors import BadInput


class Ring(NamedTuple):
    """The last W keys and values; slots of other episodes are not `alive` and hold 0."""

    keys: Float[Array, "H W d"]
    values: Float[Array, "H W d"]
    alive: Bool[Array, "W"]
    slot: Int[Array, ""]  # where the next step is written


def empty(heads: int, window: int, head_size: int, dtype: Any) -> Ring:
    shape = heads, window, head_size
    return Ring(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros(window, bool), jnp.int32(0))


def check_window(window: int) -> None:
    if window < 2:
        raise BadInput(f"window={window}: at least 2 is needed, for the softmax over one step is constant")


def attend_one(
    ring: Ring,
    q: Float[Array, "H d"],
    k: Float[Array, "H d"],
    v: Float[Array, "H d"],
    bias: Float[Array, "H W"],
    first: Bool[Array, ""],
) -> tuple[Ring, Float[Array, "H d"]]:
    """One query over its own step and the W-1 before it: softmax(q . k + bias), where `bias` is by age (0: its own)."""
    W = bias.shape[-1]
    # zeros where an episode starts, in place: to select at every reading would copy the ring
    keys, values = (jnp.where(first, 0.0, x).at[:, ring.slot].set(y) for x, y in ((ring.keys, k), (ring.values, v)))
    alive = (ring.alive & ~first).at[ring.slot].set(True)
    age = (ring.slot - jnp.arange(W)) % W
    logits = jnp.einsum("hwd,hd->hw", keys, q) + bias[:, age]
    weights = jax.nn.softmax(logits, where=alive)
    a = jnp.einsum("hw,hwd->hd", weights, values)
    return Ring(keys, values, alive, (ring.slot + 1) % W), a


def attend_all(
    ring: Ring,
    q: Float[Array, "H T d"],
    k: Float[Array, "H T d"],
    v: Float[Array, "H T d"],
    bias: Float[Array, "H #T W"],
    first: Bool[Array, "T"],
) -> tuple[Ring, Float[Array, "T H d"], Float[Array, "N H Q W+Q"]]:
    """What `attend_one` gives step by step, in blocks of Q = min(W, T) queries; and the weights.

    A block's queries see the keys of their own block and of the W steps before it: the ring's, or a block of Q = W.
    """
    T, W = len(first), bias.shape[-1]
    Q = min(W, T)
    episode = jnp.cumsum(first)
    owner = jnp.concatenate([jnp.where(jnp.roll(ring.alive, -ring.slot), 0, -1), episode])  # oldest first
    keys, values = (jnp.concatenate([jnp.roll(x, -ring.slot, 1), y], 1) for x, y in ((ring.keys, k), (ring.values, v)))

    age = W + np.arange(Q)[:, None] - np.arange(W + Q)
    near = (age >= 0) & (age < W)
    allow = near & (_blocks(episode, Q, 0)[..., None] == _seen(owner, W, Q, 0)[:, None])
    sound = (jnp.isfinite(keys) & jnp.isfinite(values)).all((0, 2))
    clean_keys, clean_values = (_seen(jnp.where(sound[:, None], x, 0.0), W, Q, 1) for x in (keys, values))
    # a NaN reaches the logits of those who may see it; in keys and values it would reach a whole block
    nan = _seen(jnp.where(sound, 0.0, jnp.nan).astype(keys.dtype), W, Q, 0)[:, None, None]
    own = _blocks(bias, Q, 1) if bias.shape[1] == T else jnp.repeat(bias, Q, 1)[None]
    logits = jnp.einsum("nhqd,nhkd->nhqk", _blocks(q, Q, 1), clean_keys) + _by_key(own) + nan
    weights = jax.nn.softmax(logits, where=allow[:, None])
    a = jnp.einsum("nhqk,nhkd->nqhd", weights, clean_values)

    alive = owner[-W:] == episode[-1]
    keys, values = (jnp.where(alive[:, None], x[:, -W:], 0.0) for x in (keys, values))
    a = a.reshape(-1, *a.shape[2:])[:T]
    return Ring(keys, values, alive, jnp.int32(0)), a, weights


def maps(weights: Float[Array, "N H Q K"], values: Float[Array, "H T d"], a: Float[Array, "T H d"]) -> dict[str, Array]:
    """-> `attention` [H T T], the weights of `attend_all` by query and key, and `before` [H T], what went to steps
    before the sequence: the two sum to 1. `values` and `read` [H T d] are what is weighed and the read-outs."""
    (N, H, Q, K), T = weights.shape, len(a)
    wide = jnp.zeros((H, Q, K - Q + N * Q), weights.dtype)  # the ring's columns, then those of all blocks
    rows = [jax.lax.dynamic_update_slice(wide, block, (0, 0, n * Q)) for n, block in enumerate(weights)]
    before, attention = jnp.split(jnp.concatenate(rows, 1)[:, :T], [K - Q], -1)
    return {"attention": attention[..., :T], "before": before.sum(-1), "values": values, "read": a.swapaxes(0, 1)}


def _blocks(x: Array, Q: int, axis: int) -> Array:
    """[.. T ..] -> [N .. Q ..], the last block padded with zeros."""
    x = jnp.pad(x, [(0, -x.shape[axis] % Q if i == axis else 0) for i in range(x.ndim)])
    return jnp.moveaxis(x.reshape(*x.shape[:axis], -1, Q, *x.shape[axis + 1 :]), axis, 0)


def _seen(x: Array, W: int, Q: int, axis: int) -> Array:
    """[.. W+T ..] -> [N .. W+Q ..]: each block of Q after what precedes it: W ring slots, or a block of Q = W."""
    ring, own = jnp.split(x, [W], axis)
    own = _blocks(own, Q, axis)
    before = ring[None] if len(own) == 1 else jnp.concatenate([ring[None], own[:-1]])
    return jnp.concatenate([before, own], axis + 1)


def _by_key(bias: Float[Array, "N H Q W"]) -> Float[Array, "N H Q W+Q"]:
    """By age -> by key seen; key j of query i has age W + i - j, so that each row lies one further to the right.

    Rows one longer than those they are read as drift by one a row: no gather, whose gradient would be a scatter.
    """
    N, H, Q, W = bias.shape
    rows = jnp.pad(bias[..., ::-1], ((0, 0), (0, 0), (0, 0), (1, Q)))
    return rows.reshape(N, H, -1)[..., : Q * (W + Q)].reshape(N, H, Q, W + Q)
