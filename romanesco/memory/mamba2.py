"""Mamba-2: a selective state space whose heads share keys and queries. H heads, d head width, N state size."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, rms_norm, widen
from romanesco.memory.chunks import elapsed, faded, seen
from romanesco.memory.conv import Conv
from romanesco.memory.heads import FAST, SLOW, Heads, softplus_inverse

RATES = 1.0, 16.0  # of A at birth


class State(NamedTuple):
    """What a layer keeps: inputs of its convolution, and h."""

    recent: Float[Array, "P C"]
    pairs: Float[Array, "H d N"]


class Inputs(NamedTuple):
    """What a step reads."""

    mixed: Float[Array, "*n C"]  # values of all heads, B and C, before the convolution
    time: Float[Array, "*n H"]  # dt


class Mamba2(Heads):
    """Selective state space with scalar decays, Mamba-2 (Dao & Gu, 2024, arXiv 2405.21060), in one group.

    v, B, C = silu(conv(W x)), dt = softplus(Wt x + b); h' = exp(-dt e^A) h + dt v B^T; y = Wo RMSNorm((h' C + D v)
    silu(Wz x)), normalized over all heads. `state_size` is the length of B and C, as large as a head is wide unless
    given; `conv` is the width of the convolution, which forgets at resets as h does. At birth e^A is spread evenly
    over 1..16 and dt over 0.001..0.1 in logarithm over the heads, where the authors draw them; D is 1.
    """

    wide: eqx.nn.Linear  # -> B and C [N] each, dt [H]
    conv: Conv
    rate: Float[Array, "H"]  # A
    skip: Float[Array, "H"]  # D
    scale: Float[Array, "Hd"]  # of the normalization
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        *,
        heads: int = 4,
        head_size: int = 64,
        state_size: int | None = None,
        conv: int = 4,
        key: Key[Array, ""],
    ):
        key, k_wide, k_conv = jax.random.split(key, 3)
        super().__init__(size, 2, heads=heads, head_size=head_size, key=key)
        self.state_size = N = head_size if state_size is None else state_size
        check_positive(state_size=N)
        born = jnp.concatenate([jnp.zeros(2 * N), softplus_inverse(np.geomspace(SLOW, FAST, heads))])
        self.wide = eqx.tree_at(lambda m: m.bias, lecun(size, 2 * N + heads, key=k_wide), born)
        self.conv = Conv(heads * head_size + 2 * N, conv, key=k_conv)
        self.rate, self.skip = jnp.log(jnp.linspace(*RATES, heads)), jnp.ones(heads)
        self.scale = jnp.ones(heads * head_size)

    def init_carry(self) -> State:
        pairs = jnp.zeros((self.heads, self.head_size, self.state_size), widen(self.enter.weight).dtype)
        return State(self.conv.init_carry(), pairs)

    def matrices(self, carry: State) -> Float[Array, "H d N"]:
        """The matrices of values and keys."""
        return carry.pairs

    def _enter(self, x):
        v, z = self._vectors(x)
        keys, time = jnp.split(widen(dense(self.wide, x)), [2 * self.state_size], -1)
        mixed = jnp.concatenate([v.reshape(*x.shape[:-1], -1), keys], -1)
        return Inputs(mixed, jax.nn.softplus(time)), jax.nn.silu(z)

    def _leave(self, a, rest):
        return dense(self.leave, rms_norm((a * rest).reshape(*a.shape[:-2], -1), self.scale))

    def _read(self, mixed, time):
        """-> values [*n H d], B and C [*n N], log-decays [*n H]."""
        width = self.heads * self.head_size
        v, key, query = jnp.split(jax.nn.silu(mixed), [width, width + self.state_size], -1)
        return v.reshape(*time.shape, -1), key, query, -time * jnp.exp(widen(self.rate))

    def _advance(self, state: State, x: Inputs, first: Bool[Array, ""]) -> tuple[State, Float[Array, "H d"]]:
        recent, mixed = self.conv.step(state.recent, x.mixed, first)
        v, key, query, keep = self._read(mixed, x.time)
        pairs = jnp.exp(keep)[:, None, None] * jnp.where(first, 0.0, state.pairs)
        pairs = pairs + (x.time[:, None] * v)[..., None] * key
        return State(recent, pairs), pairs @ query + self.skip[:, None] * v

    def _chunk(self, state: State, x: Inputs, first: Bool[Array, "Q"]) -> tuple[State, Float[Array, "Q H d"]]:
        """Q times `_advance`: each step weighs what the others wrote, and what came before the chunk."""
        lost = ~jnp.isfinite(state.recent).all()  # or its NaN would reach later episodes through weights of 0
        recent, mixed = self.conv.sequence(jnp.where(lost, 0.0, state.recent), x.mixed, first)
        v, key, query, keep = self._read(mixed, x.time)
        near, old = seen(first)
        pairs, now = jnp.where(first[0], 0.0, state.pairs), elapsed(keep, first)
        own = faded(now[:, None], now, near[..., None]) * x.time  # [t j H]
        carried = jnp.where(old[:, None], jnp.exp(now), 0.0)

        weight = (query @ key.T)[..., None] * own
        there = jnp.where(old[:, None, None], carried[..., None] * jnp.einsum("hdn,tn->thd", pairs, query), 0.0)
        a = jnp.einsum("tjh,jhd->thd", weight, v) + there + self.skip[:, None] * v

        kept = jnp.where(old[-1], carried[-1][:, None, None] * pairs, 0.0)
        pairs = kept + jnp.einsum("jh,jhd,jn->hdn", own[-1], v, key)
        told = jnp.where(lost & old, jnp.nan, 0.0)
        return State(recent, pairs + told[-1]), a + told[:, None, None]
