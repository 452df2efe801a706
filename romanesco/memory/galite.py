"""GaLiTe: gated linear attention with a matrix state. H heads, d head width, eta feature factor, I value channels."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput, among, check_positive
from romanesco.core.layers import dense, orthogonal, widen
from romanesco.core.scan import scan_steps
from romanesco.memory.agalite import FEATURES, check_feature
from romanesco.memory.chunks import elapsed, faded, scan_chunks, seen
from romanesco.memory.slots import VALUE, Gates, gates, queries
from romanesco.memory.stack import Stacked
from romanesco.memory.unrolled import unrolled

DECAYS = {
    "outer": lambda beta, gamma: (1 - beta) * (1 - gamma),
    "reference": lambda beta, gamma: 1 - beta * gamma,
}
EPSILON = 1e-10  # added to the divisor
CHUNK = 8  # steps that are read at once
FLOOR = -60.0  # log of a decay of 0


class Matrix(NamedTuple):
    """What a layer keeps: sums of gated value (x) key, and of gated keys."""

    pairs: Float[Array, "H I eta d"]
    keys: Float[Array, "H eta d"]


class Inputs(NamedTuple):
    """What a step reads: its gates, its value and the factors of its key and query."""

    gate: Gates
    query: Float[Array, "*n H d"]
    low_query: Float[Array, "*n H eta"]


class GaLiTe(eqx.Module):
    """Gated linear transformer, one layer's cell (Pramanik et al., 2024, arXiv 2310.15719).

    S' = D S + (beta v) (x) (gamma k), s' = (1 - gamma) s + gamma k, read-out S q / (s . q + 1e-10), where k, q and
    gamma are outer products of a factor [eta] and a factor [d]. The decay D is (1 - beta) (x) (1 - gamma) for
    `decay="outer"`, which AGaLiTe approximates and whose projections it shares; and 1 - beta (x) gamma for
    `decay="reference"`, as published, where the query passes one more dense layer. They remember differently.
    """

    enter: eqx.nn.Linear  # -> per head k, q, v, beta, gamma [d]
    factor: eqx.nn.Linear  # -> per head the factors [eta] of k, q, gamma; of k, gamma alone where `query` gives q's
    query: tuple[eqx.nn.Linear, eqx.nn.Linear] | None  # q -> its factors [d] and [eta]; one pair of layers a head
    leave: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)
    eta: int = eqx.field(static=True)
    decay: str = eqx.field(static=True)
    feature_map: str = eqx.field(static=True)

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
        eta: int | None = None,
        decay: str = "outer",
        feature_map: str = "relu",
        key: Key[Array, ""],
    ):
        """`eta` is 4 unless given, 2 with `decay="reference"`."""
        if decay not in DECAYS:
            raise BadInput(f"decay `{decay}`{among(decay, DECAYS)}")
        eta = {"outer": 4, "reference": 2}[decay] if eta is None else eta
        check_positive(heads=heads, head_size=head_size, eta=eta)
        check_feature(feature_map)
        k_enter, k_factor, k_leave = jax.random.split(key, 3)
        self.enter = orthogonal(size, heads * 5 * head_size, key=k_enter)
        self.leave = orthogonal(heads * head_size, size, key=k_leave)
        if decay == "reference":
            k_factor, k_wide, k_low = jax.random.split(k_factor, 3)
            self.query = _each(heads, head_size, head_size, key=k_wide), _each(heads, head_size, eta, key=k_low)
        else:
            self.query = None
        self.factor = orthogonal(size, heads * (2 if self.query else 3) * eta, key=k_factor)
        self.heads, self.head_size, self.eta, self.decay = heads, head_size, eta, decay
        self.feature_map = feature_map

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["GaLiTe", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return GaLiTe(6, heads=2, head_size=4, eta=2, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> Matrix:
        shape, dtype = (self.eta, self.head_size), widen(self.enter.weight).dtype
        return Matrix(jnp.zeros((self.heads, self.head_size, *shape), dtype), jnp.zeros((self.heads, *shape), dtype))

    def matrices(self, carry: Matrix) -> Float[Array, "H I F"]:
        """The matrices of values and keys."""
        return carry.pairs.reshape(*carry.pairs.shape[:2], -1)

    def _project(self, x: Float[Array, "*n D"]):  # -> what `gates` takes [*n H 5 d], [*n H 3 eta]
        wide, low = widen(dense(self.enter, x)), widen(dense(self.factor, x))
        wide = wide.reshape(*x.shape[:-1], self.heads, 5, self.head_size)
        low = low.reshape(*x.shape[:-1], self.heads, -1, self.eta)
        if self.query is not None:
            q, low_q = (jax.vmap(dense, (0, -2), -2)(layer, wide[..., 1, :]) for layer in self.query)
            wide = wide.at[..., 1, :].set(q)
            low = jnp.stack([low[..., 0, :], low_q, low[..., 1, :]], -2)
        return wide, low

    def _gated(self, wide, low) -> Inputs:
        feature = FEATURES[self.feature_map]
        return Inputs(gates(feature, wide, low), *queries(feature, wide, low))

    def _leave(self, a):  # [*n H d]
        return dense(self.leave, a.reshape(*a.shape[:-2], -1))

    def _advance(self, state: Matrix, x: Inputs, first):  # -> state, read-out [H d]
        gate = x.gate
        gamma, key, q = _features(x)
        beta, value = gate.beta[..., None, None], gate.value[..., None, None]
        pairs, keys = (jnp.where(first, 0.0, part) for part in state)
        pairs = DECAYS[self.decay](beta, gamma[:, None]) * pairs + value * key[:, None]
        keys = (1 - gamma) * keys + key
        a = jnp.einsum("hied,hed->hi", pairs, q) / ((keys * q).sum((1, 2)) + EPSILON)[:, None]
        return Matrix(pairs, keys), a

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        state, a = self._advance(carry, self._gated(*self._project(x)), first)
        return state, self._leave(a)

    def _recur(self, state: Matrix, wide, low, first):  # -> state, read-outs [T H d]
        if self.decay == "outer":
            return scan_chunks(_chunk, state, self._gated(wide, low), first, chunk=CHUNK)
        # 1 - beta (x) gamma has no factors, and so a chunk no pairwise weights
        return scan_steps(self._advance, state, self._gated(wide, low), first)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        state, a = self._recur(carry, *self._project(xs), first)
        return state, self._leave(a)

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and its weights unrolled: `signed` [H T T] by reading and writing step, and more;
        the mean over value channels, each of which forgets at its own pace."""
        wide, low = self._project(xs)

        def read(carry, values):
            return self._recur(carry, wide.at[..., VALUE, :].set(values), low, first)

        silent = carry._replace(pairs=jnp.zeros_like(carry.pairs))
        state, a, maps = unrolled(read, carry, silent, wide[..., VALUE, :])
        return state, self._leave(a), maps


def _features(x: Inputs):  # -> gamma, gated key, query [*n H eta d]
    pairs = (x.gate.low_forget, x.gate.forget), (x.gate.low_key, x.gate.key), (x.low_query, x.query)
    return [low[..., None] * wide[..., None, :] for low, wide in pairs]


def _log_decay(gate):
    shut = gate >= 1
    return jnp.where(shut, FLOOR, jnp.log1p(-jnp.where(shut, 0.0, gate)))


def _chunk(state: Matrix, x: Inputs, first: Bool[Array, "Q"]) -> tuple[Matrix, Float[Array, "Q H d"]]:
    """Q times `_advance` with `decay="outer"`. The weight of what j wrote is one over value channels times one over
    features: summed over features against the query, that is one score for each t and j."""
    lead = *x.query.shape[:2], -1
    gamma, key, query = (part.reshape(lead) for part in _features(x))  # [Q H F]
    near, old = seen(first)
    by_feature, by_value = (elapsed(_log_decay(gate), first) for gate in (gamma, x.gate.beta))
    pairs, keys = (jnp.where(first[0], 0.0, part) for part in state)
    pairs, keys = pairs.reshape(*pairs.shape[:2], -1), keys.reshape(len(keys), -1)

    near, old = near[..., None, None], old[:, None]
    held = faded(by_feature[:, None], by_feature, near) * key  # [t j H F]
    score = (held * query[:, None]) @ jnp.ones_like(query[0, 0])  # a GEMV: faster than a sum
    mixed = faded(by_value[:, None], by_value, near) * x.gate.value  # [t j H d]
    query = query * jnp.exp(by_feature)
    there = jnp.exp(by_value) * jnp.einsum("hif,thf->thi", pairs, query)
    a = (score[..., None] * mixed).sum(1) + jnp.where(old[..., None], there, 0.0)
    divisor = score.sum(1) + jnp.where(old, jnp.einsum("hf,thf->th", keys, query), 0.0) + EPSILON

    kept = jnp.exp(by_feature[-1])
    pairs = jnp.where(old[-1], jnp.exp(by_value[-1])[..., None] * kept[:, None] * pairs, 0.0)
    keys = jnp.where(old[-1], kept * keys, 0.0) + held[-1].sum(0)
    pairs = pairs + jnp.einsum("jhi,jhf->hif", mixed[-1], held[-1])
    return Matrix(pairs.reshape(state.pairs.shape), keys.reshape(state.keys.shape)), a / divisor[..., None]


def _each(heads: int, size_in: int, size_out: int, *, key: Key[Array, ""]) -> eqx.nn.Linear:
    """One layer a head, their leaves stacked."""
    return eqx.filter_vmap(lambda key: orthogonal(size_in, size_out, key=key))(jax.random.split(key, heads))
