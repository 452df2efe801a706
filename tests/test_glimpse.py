"""A memory that looks at tokens: its definition as a loop, masked tokens, what it shows, and its place in a config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.laws.explain import look
from romanesco.laws.verdict import close
from romanesco.memory import GRU, MLSTM, Glimpse

T, N, D = 7, 4, 6
FIRST = np.isin(np.arange(T), [0, 4])
WHENS = ["before", "after"]


def attending(size, key):
    return MLSTM(size, heads=1, head_size=4, key=key)


def made(when, memory=GRU):
    return Glimpse(D, memory=memory, when=when, heads=2, key=jax.random.key(0))


def tokens():
    return jax.random.normal(jax.random.key(1), (T, N, D))


def affine(layer, x):
    return x @ np.asarray(layer.weight).T + (0 if layer.bias is None else np.asarray(layer.bias))


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def attended(q, k, v):
    """Two heads, one query [D]."""
    out = []
    for part in np.split(np.arange(D), 2):
        grown = np.exp(k[:, part] @ q[part] / np.sqrt(len(part)))
        out.append(grown @ v[:, part] / grown.sum())
    return np.concatenate(out)


@pytest.mark.parametrize("when", WHENS)
def test_it_is_its_definition(when):
    with jax.enable_x64(True):
        glimpse = made(when)
        memory, asks, pool = glimpse.memory, glimpse.look, glimpse.pool
        carry, y, want = memory.init_carry(), np.zeros(D), []
        step = jax.jit(lambda *x: memory.step(*x))
        for x, new in zip(np.asarray(tokens()), FIRST, strict=True):
            e = norm(x)
            find = lambda y, e=e: affine(
                asks.leave, attended(affine(asks.query, y), affine(asks.key, e), affine(asks.value, e))
            )
            if when == "before":
                carry, y = step(carry, find(0 * y if new else y), new)
                want.append(y)
            else:
                pooled = attended(np.asarray(pool.query).reshape(-1), affine(pool.key, e), affine(pool.value, e))
                carry, y = step(carry, pooled, new)
                want.append(np.concatenate([y, find(np.asarray(y))]))
            y = np.asarray(y)
        got = look(glimpse, glimpse.init_carry(), tokens(), jnp.asarray(FIRST))[0][1]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("when", WHENS)
def test_it_shows_what_it_reads_and_the_dead_are_absent(when):
    glimpse, xs, first = made(when, attending), tokens(), jnp.asarray(FIRST)
    alive = jnp.ones((T, N), bool).at[:, 1].set(False)
    dead = xs.at[:, 1].set(jnp.nan)
    (carry, ys, maps), plain = look(glimpse, glimpse.init_carry(), (dead, alive), first)
    close((carry, ys), plain, what="`explain` against `sequence`")
    living = jax.jit(lambda *x: glimpse.sequence(*x))(glimpse.init_carry(), xs[:, alive[0]], first)
    close((carry, ys), living, what="without the dead")
    assert set(maps) == {"glimpse", "signed", "before", "values", "read"} | ({"pool"} if when == "after" else set())
    for name in {"glimpse", "pool"} & set(maps):
        assert maps[name].shape == (T, 1, 2, 1, N) and (maps[name][..., 1] == 0).all()
        np.testing.assert_allclose(maps[name].sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("when", WHENS)
def test_queries_and_keys_are_learned(when):
    loss = lambda glimpse: (glimpse.sequence(glimpse.init_carry(), tokens(), jnp.asarray(FIRST))[1] ** 2).sum()
    asks = jax.jit(jax.grad(loss))(made(when)).look
    assert all(float(abs(x).max()) > 0 for x in (asks.query.weight, asks.query.bias, asks.key.weight))


@pytest.mark.parametrize(("settings", "said"), [({"when": "befor"}, "did you mean `before`"), ({}, "heads=4 does not")])
def test_bad_settings_are_named(settings, said):
    with pytest.raises(BadInput, match=said):
        Glimpse(D, memory=GRU, key=jax.random.key(0), **settings)
