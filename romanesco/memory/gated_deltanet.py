"""Gated DeltaNet: a matrix memory that corrects what a key reads. H heads, d head width, Q steps of a chunk."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.layers import dense, lecun, rms_norm, widen
from romanesco.memory.chunks import elapsed, faded, seen
from romanesco.memory.heads import FAST, SLOW, Weighed, softplus_inverse

EPSILON = 1e-6  # under the root of the length of queries and keys


class Inputs(NamedTuple):
    """What a step reads; queries and keys have length 1."""

    query: Float[Array, "*n H d"]
    key: Float[Array, "*n H d"]
    value: Float[Array, "*n H d"]
    write: Float[Array, "*n H"]  # beta
    keep: Float[Array, "*n H"]  # log alpha


class GatedDeltaNet(Weighed):
    """Gated delta rule (Yang et al., 2025, arXiv 2412.06464), without its convolution.

    S' = alpha S (I - beta k k^T) + beta v k^T: the state decays, then what k reads in it moves by beta to v. The
    output is Wo (RMSNorm(S q) * silu(Wg x)), normalized per head, with q, k = silu of length 1, beta = sig(Wb x) and
    alpha = exp(-e^A softplus(Wa x + b)). At birth -log alpha is spread over 0.001..0.1 a step.
    """

    gate: eqx.nn.Linear  # -> beta, alpha, each per head
    rate: Float[Array, "H"]  # A
    scale: Float[Array, "d"]  # of the normalization

    def __init__(self, size: int, *, heads: int = 4, head_size: int = 64, key: Key[Array, ""]):
        key, k_gate = jax.random.split(key)
        super().__init__(size, 4, heads=heads, head_size=head_size, key=key)
        bias = jnp.concatenate([jnp.zeros(heads), softplus_inverse(np.geomspace(SLOW, FAST, heads))])
        self.gate = eqx.tree_at(lambda m: m.bias, lecun(size, 2 * heads, key=k_gate), bias)
        self.rate, self.scale = jnp.zeros(heads), jnp.ones(head_size)

    def init_carry(self) -> Float[Array, "H d d"]:
        return jnp.zeros((self.heads, self.head_size, self.head_size), widen(self.enter.weight).dtype)

    def matrices(self, carry: Float[Array, "H d d"]) -> Float[Array, "H d d"]:
        """The matrices of values and keys."""
        return carry

    def _silent(self, carry):
        return jnp.zeros_like(carry[:, :1])

    def _enter(self, x):
        q, k, v, g = self._vectors(x)
        b, a = jnp.split(widen(dense(self.gate, x)), 2, -1)
        keep = -jnp.exp(widen(self.rate)) * jax.nn.softplus(a)
        return Inputs(_unit(jax.nn.silu(q)), _unit(jax.nn.silu(k)), v, jax.nn.sigmoid(b), keep), jax.nn.silu(g)

    def _leave(self, a, rest):
        return dense(self.leave, (rms_norm(a, self.scale) * rest).reshape(*a.shape[:-2], -1))

    def _advance(self, state: Float[Array, "H d d"], x: Inputs, first: Bool[Array, ""]):
        state = jnp.where(first, 0.0, state) * jnp.exp(x.keep)[:, None, None]
        correction = x.write[:, None] * (x.value - jnp.einsum("hij,hj->hi", state, x.key))
        state = state + correction[..., None] * x.key[:, None]
        return state, jnp.einsum("hij,hj->hi", state, x.query)

    def _chunk(self, state: Float[Array, "H d d"], x: Inputs, first: Bool[Array, "Q"]):
        """Q times `_advance`, after Yang et al., 2024 (arXiv 2406.06484): corrections u solve a triangular system,
        u_t + beta_t sum_{j<t} w_tj (k_t . k_j) u_j = beta_t (v_t - w_t S k_t), w being decays since j and since the
        chunk began. The solution is kept apart into what is `fresh` and what `undone` takes from the state S before
        the chunk: a reset then selects S away."""
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


def _unit(x):
    return x * jax.lax.rsqrt((x**2).sum(-1, keepdims=True) + EPSILON)


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
