"""Gated slot attention: softmax over slots that learned gates write. H heads, d head width, M slots."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, rms_norm, widen
from romanesco.memory.chunks import elapsed, faded, seen
from romanesco.memory.heads import FAST, SLOW, Weighed, softplus_inverse

DAMPING = 8  # root of the gates


class Slots(NamedTuple):
    """What a layer keeps: running means of keys and of values, one of each a slot."""

    keys: Float[Array, "H M d"]
    values: Float[Array, "H M d"]


class Inputs(NamedTuple):
    """What a step reads."""

    query: Float[Array, "*n H d"]
    key: Float[Array, "*n H d"]
    value: Float[Array, "*n H d"]
    keep: Float[Array, "*n H M"]  # log alpha


class GSA(Weighed):
    """Gated slot attention (Zhang et al., 2024, arXiv 2409.07146).

    K' = alpha K + (1 - alpha) k^T, V' = alpha V + (1 - alpha) v^T with one gate a slot, alpha = sig(Wa x + b)^(1/8);
    y = Wo RMSNorm(silu(V'^T softmax(K' q))), normalized over all heads; q, k, v = silu of linear maps. Unlike there,
    gates have a bias: at birth -log alpha is spread over 0.001..0.1 a step over the slots. With half as many slots as
    a head is wide, the default, the state is as large as a matrix [d, d].
    """

    gate: eqx.nn.Linear  # -> alpha of each head and slot
    scale: Float[Array, "Hd"]  # of the normalization
    slots: int = eqx.field(static=True)

    def __init__(
        self, size: int, *, heads: int = 4, head_size: int = 64, slots: int | None = None, key: Key[Array, ""]
    ):
        key, k_gate = jax.random.split(key)
        super().__init__(size, 3, heads=heads, head_size=head_size, key=key)
        self.slots = -(-head_size // 2) if slots is None else slots
        check_positive(slots=self.slots)
        bias = -softplus_inverse(DAMPING * np.geomspace(SLOW, FAST, self.slots))
        self.gate = eqx.tree_at(lambda m: m.bias, lecun(size, heads * self.slots, key=k_gate), jnp.tile(bias, heads))
        self.scale = jnp.ones(heads * head_size)

    def init_carry(self) -> Slots:
        empty = jnp.zeros((self.heads, self.slots, self.head_size), widen(self.enter.weight).dtype)
        return Slots(empty, empty)

    def _silent(self, carry):
        return carry._replace(values=jnp.zeros_like(carry.values[..., :1]))

    def _enter(self, x):
        q, k, v = jax.nn.silu(self._vectors(x))
        gate = widen(dense(self.gate, x)).reshape(*x.shape[:-1], self.heads, self.slots)
        return Inputs(q, k, v, jax.nn.log_sigmoid(gate) / DAMPING), None

    def _leave(self, a, rest):
        del rest
        return dense(self.leave, rms_norm(jax.nn.silu(a).reshape(*a.shape[:-2], -1), self.scale))

    def _advance(self, state: Slots, x: Inputs, first: Bool[Array, ""]) -> tuple[Slots, Float[Array, "H d"]]:
        keep, write = jnp.exp(x.keep)[..., None], -jnp.expm1(x.keep)[..., None]
        keys, values = (
            keep * jnp.where(first, 0.0, old) + write * new[:, None]
            for old, new in zip(state, (x.key, x.value), strict=True)
        )
        attention = jax.nn.softmax(jnp.einsum("hmd,hd->hm", keys, x.query))
        return Slots(keys, values), jnp.einsum("hm,hmd->hd", attention, values)

    def _chunk(self, state: Slots, x: Inputs, first: Bool[Array, "Q"]) -> tuple[Slots, Float[Array, "Q H d"]]:
        """Q times `_advance`: two linear attentions with the same weights over what the steps wrote, linked by the
        softmax."""
        near, old = seen(first)
        keys, values = (jnp.where(first[0], 0.0, part) for part in state)
        now, old = elapsed(x.keep, first), old[:, None, None]
        own = faded(now[:, None], now, near[..., None, None]) * -jnp.expm1(x.keep)  # [t j H M]
        carried = jnp.where(old, jnp.exp(now), 0.0)

        score = jnp.einsum("thd,jhd->tjh", x.query, x.key)
        there = jnp.where(old, carried * jnp.einsum("hmd,thd->thm", keys, x.query), 0.0)
        attention = jax.nn.softmax((own * score[..., None]).sum(1) + there)

        weight = (own * attention[:, None]).sum(-1)
        there = jnp.where(old, jnp.einsum("thm,hmd->thd", carried * attention, values), 0.0)
        a = jnp.einsum("tjh,jhd->thd", weight, x.value) + there

        keys, values = (
            jnp.where(old[-1], carried[-1][..., None] * before, 0.0) + jnp.einsum("jhm,jhd->hmd", own[-1], new)
            for before, new in zip((keys, values), (x.key, x.value), strict=True)
        )
        return Slots(keys, values), a
