"""Gated DeltaNet: a matrix memory that corrects what a key reads. H heads, d head width, Q steps of a chunk."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.chunks import elapsed, faded, scan_chunks, seen
from romanesco.memory.stack import Stacked
from romanesco.memory.unrolled import unrolled

CHUNK = 16  # steps that are read at once
EPSILON = 1e-6  # under the roots of both normalizations
SLOW, FAST = 1e-3, 1e-1  # rates of forgetting at birth, over the heads


class Inputs(NamedTuple):
    """What a step reads; queries and keys have length 1."""

    query: Float[Array, "*n H d"]
    key: Float[Array, "*n H d"]
    value: Float[Array, "*n H d"]
    write: Float[Array, "*n H"]  # beta
    keep: Float[Array, "*n H"]  # log alpha


class GatedDeltaNet(eqx.Module):
    """Gated delta rule (Yang et al., 2025, arXiv 2412.06464), without its convolution.

    S' = alpha S (I - beta k k^T) + beta v k^T: the state decays, then what k reads in it moves by beta to v. The
    output is Wo (RMSNorm(S q) * silu(Wg x)), normalized per head, with q, k = silu of length 1, beta = sig(Wb x) and
    alpha = exp(-e^A softplus(Wa x + b)). At birth -log alpha is spread over 0.001..0.1 a step.
    """

    enter: eqx.nn.Linear  # -> q, k, v, g, each per head [d]
    gate: eqx.nn.Linear  # -> beta, alpha, each per head
    rate: Float[Array, "H"]  # A
    scale: Float[Array, "d"]  # of the normalization
    leave: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, *, heads: int = 4, head_size: int = 64, key: Key[Array, ""]):
        check_positive(heads=heads, head_size=head_size)
        k_enter, k_gate, k_leave = jax.random.split(key, 3)
        self.heads, self.head_size = heads, head_size
        self.enter = lecun(size, 4 * heads * head_size, key=k_enter)
        softplus_inverse = jnp.log(jnp.expm1(jnp.geomspace(SLOW, FAST, heads)))
        bias = jnp.concatenate([jnp.zeros(heads), softplus_inverse])
        self.gate = eqx.tree_at(lambda m: m.bias, lecun(size, 2 * heads, key=k_gate), bias)
        self.rate, self.scale = jnp.zeros(heads), jnp.ones(head_size)
        self.leave = lecun(heads * head_size, size, key=k_leave)

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["GatedDeltaNet", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return GatedDeltaNet(6, heads=2, head_size=4, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def init_carry(self) -> Float[Array, "H d d"]:
        return jnp.zeros((self.heads, self.head_size, self.head_size), widen(self.enter.weight).dtype)

    def matrices(self, carry: Float[Array, "H d d"]) -> Float[Array, "H d d"]:
        """The matrices of values and keys."""
        return carry

    def _enter(self, x: Float[Array, "*n D"]) -> tuple[Inputs, Float[Array, "*n H d"]]:
        parts = widen(dense(self.enter, x)).reshape(*x.shape[:-1], 4, self.heads, self.head_size)
        q, k, v, g = jnp.moveaxis(parts, -3, 0)
        b, a = jnp.split(widen(dense(self.gate, x)), 2, -1)
        keep = -jnp.exp(widen(self.rate)) * jax.nn.softplus(a)
        return Inputs(_unit(jax.nn.silu(q)), _unit(jax.nn.silu(k)), v, jax.nn.sigmoid(b), keep), jax.nn.silu(g)

    def _leave(self, a, open):  # [*n H d]
        normed = a * jax.lax.rsqrt((a**2).mean(-1, keepdims=True) + EPSILON) * self.scale
        return dense(self.leave, (normed * open).reshape(*a.shape[:-2], -1))

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        inputs, open = self._enter(x)
        state, a = _advance(carry, inputs, first)
        return state, self._leave(a, open)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        inputs, open = self._enter(xs)
        state, a = scan_chunks(_chunk, carry, inputs, first, chunk=CHUNK)
        return state, self._leave(a, open)

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and its weights unrolled: `signed` [H T T] by reading and writing step, and more."""
        inputs, open = self._enter(xs)

        def read(carry, values):
            return scan_chunks(_chunk, carry, inputs._replace(value=values), first, chunk=CHUNK)

        silent = jnp.zeros_like(carry[:, :1])
        state, a, maps = unrolled(read, carry, silent, inputs.value, width=1)
        return state, self._leave(a, open), maps


def _unit(x):
    return x * jax.lax.rsqrt((x**2).sum(-1, keepdims=True) + EPSILON)


def _advance(state: Float[Array, "H d d"], x: Inputs, first: Bool[Array, ""]):
    state = jnp.where(first, 0.0, state) * jnp.exp(x.keep)[:, None, None]
    correction = x.write[:, None] * (x.value - jnp.einsum("hij,hj->hi", state, x.key))
    state = state + correction[..., None] * x.key[:, None]
    return state, jnp.einsum("hij,hj->hi", state, x.query)


def _chunk(state: Float[Array, "H d d"], x: Inputs, first: Bool[Array, "Q"]):
    """Q times `_advance`, after Yang et al., 2024 (arXiv 2406.06484): corrections u solve a triangular system,
    u_t + beta_t sum_{j<t} w_tj (k_t . k_j) u_j = beta_t (v_t - w_t S k_t), w being decays since j and since the chunk
    began. The solution is kept apart into what is `fresh` and what `undone` takes from the state S before the chunk:
    a reset then selects S away."""
    near, old = seen(first)
    state = jnp.where(first[0], 0.0, state)
    now = elapsed(x.keep, first)
    own = faded(now[:, None], now, near[..., None])
    carried = jnp.where(old[:, None], jnp.exp(now), 0.0)[..., None]

    system = jnp.einsum("thd,jhd,tjh,th->htj", x.key, x.key, own, x.write)
    wanted = x.write[..., None] * jnp.concatenate([x.value, carried * x.key], -1)
    fresh, undone = jnp.split(_inverse(system) @ wanted.swapaxes(0, 1), [x.value.shape[-1]], -1)  # [H Q d]

    score = jnp.einsum("thd,jhd,tjh->htj", x.query, x.key, own)
    query = (carried * x.query).swapaxes(0, 1) - score @ undone
    a = score @ fresh + jnp.where(old[:, None], query @ state.swapaxes(1, 2), 0.0)

    written = (own[-1][..., None] * x.key).swapaxes(0, 1)
    kept = carried[-1][..., None] * state - (state @ undone.swapaxes(1, 2)) @ written
    return fresh.swapaxes(1, 2) @ written + jnp.where(old[-1], kept, 0.0), a.swapaxes(0, 1)


def _inverse(system: Float[Array, "H Q Q"]) -> Float[Array, "H Q Q"]:
    """Of I + the strictly lower triangle: diagonal blocks P, R with B below them invert to P', -R' B P', R', by
    doubling the blocks. As stable as substitution, in few matmuls; LAPACK's solver is slow on many small systems."""
    t, size = np.arange(system.shape[-1]), 1
    inverse = jnp.broadcast_to(jnp.eye(len(t), dtype=system.dtype), system.shape)
    while size < len(t):
        block = t // size
        below = (block[:, None] % 2 == 1) & (block[:, None] == block + 1)
        inverse = inverse - inverse @ jnp.where(below, system, 0.0) @ inverse
        size *= 2
    return inverse
