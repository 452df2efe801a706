"""The laws of attention, A1-A8: of functions (q, k, v, bias, allow) -> read-outs, weights, and of encoders, through
their `example`. Nq queries, Nk tokens, H heads, d head width.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.core.tokens import FeatureTokens
from romanesco.laws.verdict import close, require

Attend = Callable[..., tuple[Array, Array]]
Example = Callable[[Key[Array, ""]], tuple[Any, PyTree[Array]]]  # key -> a small encoder, an observation

NQ, NK, H, D = 3, 5, 2, 4
ALLOW = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)  # a token none may read, a query blind
DEAD = ~ALLOW.any(0)


def _inputs():
    """-> q, k, v, bias."""
    shapes = (NQ, H, D), (NK, H, D), (NK, H, D + 1), (H, NQ, NK)
    return tuple(jax.random.normal(k, s) for k, s in zip(jax.random.split(jax.random.key(0), 4), shapes, strict=True))


# Of `attend`


def a2_rows(attend: Attend) -> None:
    """A2: a query's weights are at least 0, exactly 0 where it may not read, and sum to 1; of one that may read
    nothing, all are 0."""
    _rows(jax.jit(attend)(*_inputs(), ALLOW)[1], np.broadcast_to(ALLOW, (H, NQ, NK)), "attend")


def _rows(weights, allow, what: str) -> None:
    weights = np.asarray(weights)
    require((weights >= 0).all(), f"A2: {what}: a weight is below 0, or NaN")
    require((weights[~allow] == 0).all(), f"A2: {what}: a token that may not be read has a weight")
    close(weights.sum(-1), allow.any(-1).astype(weights.dtype), what=f"A2: {what}: sums of rows")


def a3_definition(attend: Attend) -> None:
    """A3: the definition, as a loop over heads, queries and tokens, in float64, with more tokens than queries."""
    with jax.enable_x64(True):
        q, k, v, bias = _inputs()
        got = jax.jit(attend)(q, k, v, bias, ALLOW)
    q, k, v, bias = map(np.asarray, (q, k, v, bias))
    outs, weights = np.zeros((NQ, H, D + 1)), np.zeros((H, NQ, NK))
    for h in range(H):
        for i in range(NQ):
            live = [j for j in range(NK) if ALLOW[i, j]]
            grown = [np.exp(q[i, h] @ k[j, h] / np.sqrt(D) + bias[h, i, j]) for j in live]
            for j, e in zip(live, grown, strict=True):
                weights[h, i, j] = e / sum(grown)
                outs[i, h] += weights[h, i, j] * v[j, h]
    close(got, (outs, weights), atol=1e-11, rtol=1e-9, what="A3: read-outs and weights, against their definition")


def a5_absent(attend: Attend) -> None:
    """A5: a token that nobody may read is as if absent, and NaN in it, or in the query of who may read nothing, reaches
    no read-out and no gradient; NaN in a token that some may read reaches only their read-outs."""
    q, k, v, bias = _inputs()

    @jax.jit
    def run(q, k, v, bias, allow):
        (_, said), slopes = jax.value_and_grad(
            lambda *x: (lambda y: (jnp.cos(y[0]).sum(), y))(attend(*x, allow)), (0, 1, 2), has_aux=True
        )(q, k, v, bias)
        return said, slopes

    blind = ~ALLOW.any(1)
    (y, _), slopes = run(q, k[~DEAD], v[~DEAD], bias[..., ~DEAD], ALLOW[:, ~DEAD])
    holes = q.at[blind].set(jnp.nan), k.at[DEAD].set(jnp.nan), v.at[DEAD].set(jnp.inf)
    (got, _), got_ = run(*holes, bias, ALLOW)
    close(got, y, what="A5: read-outs beside a token of NaN that none may read, against those without it")
    close(tuple(x[~DEAD] if x.shape[0] == NK else x for x in got_), slopes, what="A5: gradients beside it, against")
    require((np.asarray(got[blind]) == 0).all(), "A5: a query that may read nothing does not read 0")
    (partly, _), _ = run(q, k.at[0].set(jnp.nan), v.at[0].set(jnp.nan), bias, ALLOW)
    close(partly[~ALLOW[:, 0]], y[~ALLOW[:, 0]], what="A5: read-outs of those who may not read a token of NaN")
    require(np.isnan(partly[ALLOW[:, 0]]).all(), "A5: those who read a NaN do not show it")


def a7_uniform(attend: Attend) -> None:
    """A7: where keys say nothing, a query reads the mean of the values that it may read."""
    q, k, v, _ = _inputs()
    got, _ = jax.jit(attend)(q, jnp.zeros_like(k), v, None, ALLOW)
    want = [v[live].mean(0) if live.any() else 0 * v[0] for live in ALLOW]
    close(got, jnp.stack(want), what="A7: read-outs with keys of 0, against the mean of values")


def a8_read_out(attend: Attend) -> None:
    """A8: sum_j A_ij v_j of the weights that it says is what it reads."""
    q, k, v, bias = _inputs()
    for allow in (ALLOW, None):
        got, weights = jax.jit(attend)(q, k, v, bias, allow)
        close(np.einsum("hij,jhd->ihd", weights, v), got, what="A8: weights times values, against the read-out")


ATTEND: dict[str, Callable[[Attend], None]] = {
    "A2": a2_rows,
    "A3": a3_definition,
    "A5": a5_absent,
    "A7": a7_uniform,
    "A8": a8_read_out,
}

# Of encoders: `alive` in an observation says which `entities` there are


@jax.jit
def _look(encoder, obs):
    """-> what `explain` says, gradients in parameters of what has different slopes in all outputs, and the plain call;
    one program for all laws.
    """
    moving, fixed = eqx.partition(encoder, eqx.is_inexact_array)
    y, back, maps = jax.vjp(lambda moving: eqx.combine(moving, fixed).explain(obs), moving, has_aux=True)
    return y, maps, back(jnp.cos(jnp.arange(y.size, dtype=y.dtype)))[0], encoder(obs)


def _alive(obs) -> np.ndarray | None:
    return np.asarray(obs["alive"]) if isinstance(obs, dict) and "alive" in obs else None


def a1_explain(example: Example) -> None:
    """A1: `explain` gives the vector of the plain call, and some weights."""
    encoder, obs = example(jax.random.key(0))
    said, maps, _, plain = _look(encoder, obs)
    close(said, plain, what="A1: `explain` against the plain call")
    require(bool(maps), "A1: `explain` shows no weights")


def a2_maps(example: Example) -> None:
    """A2: rows of weights are at least 0 and sum to 1, and a dead entity's weight is exactly 0."""
    encoder, obs = example(jax.random.key(0))
    alive = _alive(obs)
    for name, weights in _look(encoder, obs)[1].items():
        allow = np.ones(weights.shape, bool)
        if alive is not None:
            allow[..., : len(alive)] = alive
            if weights.shape[-1] == weights.shape[-2]:  # dead queries read nothing
                allow[..., : len(alive), :] &= alive[:, None]
        _rows(weights, allow, name)


def a4_order(example: Example) -> None:
    """A4: the order of entities, or of features with all that belongs to each, does not reach the vector, and permutes
    the weights alike. Frames, patches and modalities have places: nothing is asked of them."""
    encoder, obs = example(jax.random.key(0))
    other = _permuted(encoder, obs)
    if other is None:
        return
    order, *turned = other
    (y, maps, *_), (got, got_maps, *_) = _look(encoder, obs), _look(*turned)
    close(got, y, what="A4: the vector after a permutation")
    for name, weights in maps.items():
        at = np.arange(weights.shape[-1])
        at[: len(order)] = order
        want = weights[..., at]
        close(got_maps[name], want[..., at, :] if want.shape[-2] == len(at) else want, what=f"A4: weights of {name}")


def _permuted(encoder, obs):
    """-> an order of its tokens, the encoder and the observation in that order; None if they have places."""
    tokens = getattr(encoder, "tokens", None)
    if _alive(obs) is not None:
        order = np.roll(np.arange(len(obs["alive"])), 1)
        return order, encoder, obs | {name: obs[name][order] for name in ("entities", "alive")}
    if not isinstance(tokens, FeatureTokens) or len(tokens.weight) > tokens.count:
        return None
    order = np.roll(np.arange(tokens.count), 1)
    return order, eqx.tree_at(lambda e: e.tokens, encoder, jax.tree.map(lambda x: x[order], tokens)), obs[order]


def a5_dead(example: Example) -> None:
    """A5: what dead entities hold, NaN included, reaches neither the vector nor a gradient; that none is alive makes
    nothing NaN."""
    encoder, obs = example(jax.random.key(0))
    alive = _alive(obs)
    if alive is None:
        return
    require(0 < alive.sum() < len(alive), "A5: in the example some entities are alive and some are dead")
    y, _, slopes, _ = _look(encoder, obs)
    for filling in (7.0, jnp.nan):
        got, _, got_, _ = _look(encoder, obs | {"entities": jnp.where(alive[:, None], obs["entities"], filling)})
        close(got, y, what=f"A5: the vector with {filling} in dead entities, against other numbers there")
        close(got_, slopes, what=f"A5: gradients with {filling} in dead entities")
    none, _, slopes, _ = _look(encoder, obs | {"alive": jnp.zeros_like(obs["alive"])})
    sound = all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves((none, slopes)))
    require(sound, "A5: without a living entity the vector or a gradient is not finite")


def a6_gradients(example: Example) -> None:
    """A6: every query and key parameter (its path says so) has a gradient that is not 0."""
    encoder, obs = example(jax.random.key(0))
    leaves = [
        (jax.tree_util.keystr(path), x) for path, x in jax.tree_util.tree_leaves_with_path(_look(encoder, obs)[2])
    ]
    scored = [(path, x) for path, x in leaves if ".query" in path or ".key" in path]
    require(scored, "A6: no parameter is named `query` or `key`")
    for path, slope in scored:
        require(float(jnp.abs(slope).max()) > 0, f"A6: the gradient in {path} is 0")


LAWS: dict[str, Callable[[Example], None]] = {
    "A1": a1_explain,
    "A2": a2_maps,
    "A4": a4_order,
    "A5": a5_dead,
    "A6": a6_gradients,
}
