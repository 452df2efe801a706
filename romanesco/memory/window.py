"""Attention over a strict window of the last steps. W window, H heads, d head width, N blocks of Q queries."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.stack import Stacked


class Ring(NamedTuple):
    """The last W keys and values; slots of other episodes are not `alive`, and what they hold is never read."""

    keys: Float[Array, "H W d"]
    values: Float[Array, "H W d"]
    alive: Bool[Array, "W"]
    slot: Int[Array, ""]  # where the next step is written


class Window(eqx.Module):
    """Multi-head attention over the last `window` steps of this episode, with a learned bias per head and age
    (Vaswani et al., 2017; bias after Raffel et al., 2020).

    Query t sees exactly steps t-W+1 .. t of its episode, acting and learning alike. Keys and values stay as written
    when the weights change, until they leave; so the gradient reaches only those written in the sequence at hand.
    """

    enter: eqx.nn.Linear  # -> per head q, k, v [d]
    leave: eqx.nn.Linear
    bias: Float[Array, "H W"]  # by age, 0 the present step
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(
        self, size: int, *, heads: int = 4, window: int = 128, head_size: int | None = None, key: Key[Array, ""]
    ):
        if window < 2:
            raise BadInput(f"window={window}: at least 2 is needed, for the softmax over one step is constant")
        if head_size is not None and head_size < 1:
            raise BadInput(f"head_size={head_size}: at least 1 is needed; null: size / heads")
        if heads < 1 or (head_size is None and size % heads):
            divisors = ", ".join(str(n) for n in range(1, size + 1) if size % n == 0)
            raise BadInput(f"heads={heads} does not divide size={size}; divisors: {divisors}; or set head_size")
        k_enter, k_leave = jax.random.split(key)
        self.heads, self.head_size = heads, size // heads if head_size is None else head_size
        self.enter = lecun(size, 3 * heads * self.head_size, key=k_enter)
        self.leave = lecun(heads * self.head_size, size, key=k_leave)
        self.bias = jnp.zeros((heads, window))

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["Window", Float[Array, "T D"]]:
        k_cell, k_bias, k_x = jax.random.split(key, 3)
        cell = Window(6, heads=2, window=9, key=k_cell)
        cell = eqx.tree_at(lambda m: m.bias, cell, jax.random.normal(k_bias, cell.bias.shape))
        return cell, 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    @property
    def window(self) -> int:
        return self.bias.shape[1]

    def init_carry(self) -> Ring:
        shape, dtype = (self.heads, self.window, self.head_size), widen(self.bias).dtype
        return Ring(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros(self.window, bool), jnp.int32(0))

    def _enter(self, x):  # [*n D] -> q, k, v [H *n d]
        parts = widen(dense(self.enter, x)).reshape(*x.shape[:-1], 3, self.heads, self.head_size)
        q, k, v = jnp.moveaxis(parts, (-3, -2), (0, 1))
        return q / np.sqrt(self.head_size), k, v

    def _leave(self, a):  # [*n H d]
        return dense(self.leave, a.reshape(*a.shape[:-2], -1))

    def step(self, carry: Ring, x: Float[Array, "D"], first: Bool[Array, ""]):
        q, k, v = self._enter(x)
        keys, values = carry.keys.at[:, carry.slot].set(k), carry.values.at[:, carry.slot].set(v)
        alive = (carry.alive & ~first).at[carry.slot].set(True)
        age = (carry.slot - jnp.arange(self.window)) % self.window
        live_keys, live_values = (jnp.where(alive[:, None], x, 0.0) for x in (keys, values))
        logits = (live_keys * q[:, None]).sum(-1) + self.bias[:, age]  # on a CPU faster than batched small matmuls
        weights = jax.nn.softmax(logits, where=alive)
        a = (weights[..., None] * live_values).sum(1)
        return Ring(keys, values, alive, (carry.slot + 1) % self.window), self._leave(a)

    def sequence(self, carry: Ring, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        W, T = self.window, len(first)
        Q = min(W, T)  # queries of a block; they see their own block and the one before it, at first the ring
        q, k, v = self._enter(xs)
        episode = jnp.cumsum(first)
        owner = jnp.concatenate([jnp.where(jnp.roll(carry.alive, -carry.slot), 0, -1), episode])  # oldest first
        keys, values = (
            jnp.concatenate([jnp.roll(x, -carry.slot, 1), y], 1) for x, y in ((carry.keys, k), (carry.values, v))
        )

        age = W + np.arange(Q)[:, None] - np.arange(W + Q)
        near = (age >= 0) & (age < W)
        allow = near & (_blocks(episode, Q, 0)[..., None] == _seen(owner, W, Q, 0)[:, None])
        sound = (jnp.isfinite(keys) & jnp.isfinite(values)).all((0, 2))
        clean_keys, clean_values = (_seen(jnp.where(sound[:, None], x, 0.0), W, Q, 1) for x in (keys, values))
        # a NaN reaches the logits of those who may see it; in keys and values it would reach a whole block
        nan = _seen(jnp.where(sound, 0.0, jnp.nan).astype(keys.dtype), W, Q, 0)[:, None, None]
        bias = self.bias[:, np.clip(age, 0, W - 1)]
        logits = jnp.einsum("nhqd,nhkd->nhqk", _blocks(q, Q, 1), clean_keys) + bias + nan
        weights = jax.nn.softmax(logits, where=allow[:, None])
        a = jnp.einsum("nhqk,nhkd->nqhd", weights, clean_values)

        alive = owner[-W:] == episode[-1]
        a = a.reshape(-1, *a.shape[2:])[:T]
        return Ring(keys[:, -W:], values[:, -W:], alive, jnp.int32(0)), self._leave(a)


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
