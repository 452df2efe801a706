"""Gated linear attention over slots that hold outer products; its backward pass is written by hand.

H heads, K slots, d head width, eta feature factor, Q steps of a chunk; `x_` is the adjoint of x. A key is the outer
product low (x) wide of a factor [eta] and a factor [d], and so is its gate: both stay factors, for then the update of
a state [H K eta d] is one vectorised loop.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from romanesco.memory.basis import Layout

CHUNK = 8  # steps that the backward pass computes again at once: their states fit a core's cache
VALUE = 2  # which of the projections of `gates` is the value
SHUT = -1e4  # a gate before its sigmoid that is exactly 0 after it


class State(NamedTuple):
    """What the slots hold."""

    keys: Float[Array, "H K eta d"]
    values: Float[Array, "H K d"]


class Gates(NamedTuple):
    """What a step does to the state: decay 1 - low_forget (x) forget, then add low_key (x) key; values alike."""

    forget: Float[Array, "*n d"]
    low_forget: Float[Array, "*n eta"]
    key: Float[Array, "*n d"]
    low_key: Float[Array, "*n eta"]
    beta: Float[Array, "*n d"]
    value: Float[Array, "*n d"]


def gates(feature: Callable, wide: Float[Array, "*n 5 d"], low: Float[Array, "*n 3 eta"]) -> Gates:
    """From the projections (k, q, v, beta, gamma) and (k, q, gamma) of a step or of many; keys and values are gated."""
    k, _, v, b, g = jnp.moveaxis(wide, -2, 0)
    low_k, _, low_g = jnp.moveaxis(low, -2, 0)
    b, g, low_g = jax.nn.sigmoid(b), jax.nn.sigmoid(g), jax.nn.sigmoid(low_g)
    return Gates(g, low_g, g * feature(k), low_g * feature(low_k), b, b * v)


def queries(feature: Callable, wide, low) -> tuple[Float[Array, "*n d"], Float[Array, "*n eta"]]:
    """The factors of the query, from the projections."""
    return feature(wide[..., 1, :]), feature(low[..., 1, :])


def advance(state: State, gate: Gates, first: Bool[Array, ""], write: Float[Array, "K"]) -> State:
    """One step: all slots decay (where `first`, to 0), and slot i receives write_i times the gated key and value."""

    def outer(low, wide):
        return low[:, None, :, None] * wide[:, None, None]

    keys, values = (jnp.where(first, 0.0, x) for x in state)
    keys = keys * (1 - outer(gate.low_forget, gate.forget)) + write[:, None, None] * outer(gate.low_key, gate.key)
    return State(keys, values * (1 - gate.beta[:, None]) + write[:, None] * gate.value[:, None])


def _match(keys, q, low_q):
    """Scores of the slots [H K], and the summands over eta that they come from [H K eta]."""
    part = jnp.einsum("...hced,...hd->...hce", keys, q)
    return (part * low_q[..., None, :]).sum(-1), part


def _mix(form: Layout, values, score):
    weight = score if form.gram is None else score @ jnp.asarray(form.gram.T, score.dtype)
    divisor = score @ jnp.asarray(form.divisor, score.dtype) + form.epsilon
    return (weight[..., None] * values).sum(-2) / divisor[..., None]


def read(form: Layout, state: State, q: Float[Array, "*n d"], low_q: Float[Array, "*n eta"]) -> Float[Array, "*n d"]:
    """What the query low_q (x) q reads out of the slots."""
    return _mix(form, state.values, _match(state.keys, q, low_q)[0])


def chunk_length(steps: int) -> int:
    return min(CHUNK, steps)


def _chunks(xs):
    return jax.tree.map(lambda x: x.reshape(-1, chunk_length(len(x)), *x.shape[1:]), xs)


def _unchunk(x):
    return x.reshape(-1, *x.shape[2:])


def recur(
    feature: Callable,
    form: Layout,
    state: State,
    wide: Float[Array, "T H 5 d"],
    low: Float[Array, "T H 3 eta"],
    first: Bool[Array, "T"],
    writes: Float[Array, "T K"],
) -> tuple[State, Float[Array, "T H d"]]:
    """-> the last state and all read-outs; can be differentiated in reverse, to any order, not forward (`jvp`).

    T must be a multiple of its chunk length; steps whose projections are SHUT change nothing and may fill it up.
    """
    return _recur(feature, form, state, wide, low, first, writes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recur(feature, form, state, wide, low, first, writes):
    return _forward(feature, form, state, wide, low, first, writes)[0]


def _forward(feature, form, state, wide, low, first, writes):
    """Of the states, only those between chunks are kept."""

    def one(state, x):
        wide, low, first, write = x
        state = advance(state, gates(feature, wide, low), first, write)
        return state, read(form, state, *queries(feature, wide, low))

    def chunk(state, x):
        end, a = jax.lax.scan(one, state, x)
        return end, (state, a)

    end, (starts, a) = jax.lax.scan(chunk, state, _chunks((wide, low, first, writes)))
    return (end, _unchunk(a)), (starts, wide, low, first, writes)


def _total(x: Array, axis: int) -> Array:
    return functools.reduce(jnp.add, (jax.lax.index_in_dim(x, i, axis, False) for i in range(x.shape[axis])))


def _written(form, x, write):
    """The sum over slots of write_i x_i."""
    if form.start is None:
        return jax.lax.dynamic_index_in_dim(x, jnp.argmax(write), 1, keepdims=False)
    return _total(write.reshape(-1, *(1,) * (x.ndim - 2)) * x, 1)


def _reverse(form, end_: State, x):
    """The adjoint of one step: from that of the state after it to that of the state before it.

    Elementwise, with sums over slots written out: a reduction in this innermost loop costs ten times the update.
    """
    part_, q, read_, before, gate, first, write = x
    keys_, values_ = end_.keys + part_[..., None] * q[:, None, None], end_.values + read_

    def shut(x):
        return jnp.where(first, 0.0, x)

    forget_, beta_ = -shut(_total(keys_ * before.keys, 1)), -shut(_total(values_ * before.values, 1))
    key_, value_ = _written(form, keys_, write), _written(form, values_, write)
    decay = 1 - gate.low_forget[:, None, :, None] * gate.forget[:, None, None]
    return State(shut(keys_ * decay), shut(values_ * (1 - gate.beta[:, None]))), (forget_, key_, beta_, value_)


def _factors(x_, low, wide):
    """From the adjoint of low (x) wide to those of wide and low."""
    wide_ = _total(x_ * low[..., None], -2)
    return wide_, (x_ * wide[..., None, :]) @ jnp.ones(wide.shape[-1], wide.dtype)  # a GEMV: 3x faster than a sum


def _backward(feature, form, residuals, cotangents):
    """Chunks from last to first: compute the states again, run the adjoint recurrence, then contract once a chunk.

    Autodiff would put the contractions into the innermost loop, which costs more than all the rest.
    """
    starts, wide, low, first, writes = residuals
    end_, a_ = cotangents

    def chunk(end_, x):
        start, wide, low, first, writes, a_ = x
        gate, gate_vjp = jax.vjp(functools.partial(gates, feature), wide, low)
        (q, low_q), query_vjp = jax.vjp(functools.partial(queries, feature), wide, low)

        end, before = jax.lax.scan(lambda state, x: (advance(state, *x), state), start, (gate, first, writes))
        after = jax.tree.map(lambda b, e: jnp.concatenate([b[1:], e[None]]), before, end)

        score, part = _match(after.keys, q, low_q)
        values_, score_ = jax.vjp(functools.partial(_mix, form), after.values, score)[1](a_)
        part_ = score_[..., None] * low_q[..., None, :]  # [Q H K eta]
        low_q_ = (score_[..., None] * part).sum(2)
        rows = after.keys.reshape(*score.shape[:2], -1, q.shape[-1])  # [Q H K*eta d]
        q_ = jnp.einsum("thnd,thn->thd", rows, part_.reshape(rows.shape[:-1]))

        xs = (part_, q, values_, before, gate, first, writes)
        reverse = functools.partial(_reverse, form)
        start_, (forget_, key_, beta_, value_) = jax.lax.scan(reverse, end_, xs, reverse=True)
        forget_, low_forget_ = _factors(forget_, gate.low_forget, gate.forget)
        key_, low_key_ = _factors(key_, gate.low_key, gate.key)
        into = gate_vjp(Gates(forget_, low_forget_, key_, low_key_, beta_, value_))
        return start_, jax.tree.map(jnp.add, into, query_vjp((q_, low_q_)))

    xs = (starts, *_chunks((wide, low, first, writes, a_)))
    start_, into = jax.lax.scan(chunk, end_, xs, reverse=True)
    return start_, *map(_unchunk, into), None, None


_recur.defvjp(_forward, _backward)
