"""AGaLiTe: gated linear attention whose outer-product state is approximated by a few channels in time."""

import warnings
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from romanesco.core.errors import BadInput, among, check_positive
from romanesco.core.layers import dense, orthogonal, widen
from romanesco.memory.basis import Layout, check_basis, layout
from romanesco.memory.chunks import phases
from romanesco.memory.slots import SHUT, VALUE, State, advance, chunk_length, gates, queries, read, recur
from romanesco.memory.stack import Stacked
from romanesco.memory.unrolled import unrolled

FEATURES = {"relu": jax.nn.relu, "softplus": jax.nn.softplus}


def check_feature(name: str) -> None:
    if name not in FEATURES:
        raise BadInput(f"feature_map `{name}`{among(name, FEATURES)}")


class AGaLiTe(eqx.Module):
    """Approximate gated linear transformer, one layer's cell (Pramanik et al., 2024, arXiv 2310.15719).

    Channels i of values and keys decay by 1 - beta and 1 - gamma and receive c_i(n) beta v and c_i(n) gamma k; the
    read-out is sum_i w_i v_i (k_i . q) / (rho s . q + epsilon), s being the gated sum of keys. What is stored are slots
    that read out the same (`basis.layout`). A UserWarning says when channels are linearly dependent. `channels=1` of
    the `quadrature` basis cancels keys and queries: a gated average of values. No small basis approximates long
    memory well. With `relu` features a head's query is 0 at birth with probability 2^-eta a step; `softplus` avoids it.
    A query that is almost 0 is read back at full size but for `epsilon`, with its rounding: an epsilon of 1e-5, as
    published, lets acting and learning differ by 1e-3 in rare steps.
    """

    enter: eqx.nn.Linear  # -> per head k, q, v, beta, gamma [d]
    factor: eqx.nn.Linear  # -> per head the factors of k, q, gamma [eta]
    leave: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)
    eta: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    basis: str = eqx.field(static=True)
    feature_map: str = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    channels_differ: ClassVar[bool] = True  # each value channel forgets at its own pace
    stacked: ClassVar[Stacked | None] = Stacked(
        "gru", act="relu", ffn=128, ffn_act="relu", init="orthogonal", last_norm=False
    )

    def __init__(
        self,
        size: int,
        *,
        heads: int = 4,
        head_size: int = 64,
        eta: int = 4,
        channels: int = 5,
        basis: str = "quadrature",
        feature_map: str = "relu",
        epsilon: float = 1e-3,
        key: Key[Array, ""],
    ):
        check_positive(heads=heads, head_size=head_size, eta=eta)
        check_feature(feature_map)
        if not epsilon > 0:
            raise BadInput(f"epsilon={epsilon}: more than 0 is needed")
        if flaw := check_basis(basis, channels):
            warnings.warn(flaw, stacklevel=3)  # above Equinox's constructor
        k_enter, k_factor, k_leave = jax.random.split(key, 3)
        self.enter = orthogonal(size, heads * 5 * head_size, key=k_enter)
        self.factor = orthogonal(size, heads * 3 * eta, key=k_factor)
        self.leave = orthogonal(heads * head_size, size, key=k_leave)
        self.heads, self.head_size, self.eta, self.channels = heads, head_size, eta, channels
        self.basis, self.feature_map, self.epsilon = basis, feature_map, epsilon

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["AGaLiTe", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return AGaLiTe(6, heads=2, head_size=4, eta=2, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    @property
    def form(self) -> Layout:
        return layout(self.basis, self.channels, self.epsilon)

    def init_carry(self) -> tuple[State, Int[Array, ""]]:
        """Keys and values of the slots, and the phase at which the next step writes."""
        lead, dtype = (self.heads, self.form.slots), widen(self.enter.weight).dtype
        keys = jnp.zeros((*lead, self.eta, self.head_size), dtype)
        return State(keys, jnp.zeros((*lead, self.head_size), dtype)), jnp.int32(0)

    def matrices(self, carry) -> Float[Array, "H d F"]:
        """The matrix of values and keys that the slots stand for, up to its divisor."""
        (keys, values), _ = carry
        keys = keys.reshape(*keys.shape[:2], -1)
        if self.form.gram is not None:
            keys = jnp.einsum("ij,hjf->hif", jnp.asarray(self.form.gram, keys.dtype), keys)
        return jnp.einsum("hid,hif->hdf", values, keys)

    def _enter(self, x):  # [... D]
        wide, low = widen(dense(self.enter, x)), widen(dense(self.factor, x))
        lead = (*x.shape[:-1], self.heads)
        return wide.reshape(*lead, 5, self.head_size), low.reshape(*lead, 3, self.eta)

    def _leave(self, a):  # [... H d]
        return dense(self.leave, a.reshape(*a.shape[:-2], -1))

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        (state, phase), form, feature = carry, self.form, FEATURES[self.feature_map]
        if form.start is not None:
            phase = jnp.where(first, form.start, phase)
        wide, low = self._enter(x)
        write = jnp.asarray(form.writes, wide.dtype)[phase]
        state = advance(state, gates(feature, wide, low), first, write)
        a = read(form, state, *queries(feature, wide, low))
        return (state, (phase + 1) % len(form.writes)), self._leave(a)

    def _recur(self, carry, wide, low, first):  # -> carry, read-outs [T H d]
        (state, phase), form, T = carry, self.form, len(first)
        if form.start is None:  # turn the slots, not the phases: those are then one and the same for a batch of streams
            turn, at = phase, jnp.arange(T) % form.slots
        else:
            turn, at = 0, phases(phase, first, form.start, len(form.writes))
        writes = jnp.asarray(form.writes, state.keys.dtype)[at]
        pad = -T % chunk_length(T)

        def padded(x, value):
            return jnp.pad(x, ((0, pad),) + ((0, 0),) * (x.ndim - 1), constant_values=value)

        inputs = padded(wide, SHUT), padded(low, SHUT), padded(first, False), padded(writes, 0)
        state, a = recur(FEATURES[self.feature_map], form, _turned(state, -turn), *inputs)
        phase = (phase + T if form.start is None else at[-1] + 1) % len(form.writes)
        return (_turned(state, turn), phase), a[:T]

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        carry, a = self._recur(carry, *self._enter(xs), first)
        return carry, self._leave(a)

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and its weights unrolled: `signed` [H T T] by reading and writing step, and more;
        the mean over value channels, each of which forgets at its own pace."""
        wide, low = self._enter(xs)
        state, phase = carry

        def read(carry, values):
            return self._recur(carry, wide.at[..., VALUE, :].set(values), low, first)

        silent = state._replace(values=jnp.zeros_like(state.values)), phase
        carry, a, maps = unrolled(read, carry, silent, wide[..., VALUE, :])
        return carry, self._leave(a), maps


def _turned(state: State, by) -> State:
    return jax.tree.map(lambda x: jnp.roll(x, by, 1), state)
