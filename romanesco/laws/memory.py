"""The laws of memories, M1-M3, M6 and M7, as functions of a class's `example`. T time, B streams, D outputs.

M4 (a replayed rollout has ratio 1) needs an agent and is a law of learners; M5 (the formula) needs a definition.
The laws share four compiled programs per memory: repeated `step`, and `sequence` of 1, 7 and 40 steps. What lies
between them is NumPy, of which nothing is compiled.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from romanesco.core.types import Memory
from romanesco.laws.verdict import close, require

Example = Callable[[Key[Array, ""], int], tuple[Memory, PyTree[Array]]]  # key, T -> a small memory, its inputs [T ..]

LONG = 40
LENGTHS = (1, 7, LONG)
SPLIT = (7, 1, 7, 7, 1, 7, 7, 1, 1, 1)  # of 40 steps
RESETS = (4, 5, 17, 38)  # not at once, or the lived-in carry is never read
AFTER = 16  # further outputs, by which carries are compared
AGE = 100_000  # steps after which a counter shows
SHORT = 1_000  # of these, the first and the last that are cut into ten episodes


def stepwise(memory: Memory, carry, xs, first):
    """What `sequence` must equal."""
    return jax.lax.scan(lambda carry, x: memory.step(carry, *x), carry, (xs, first))


def sequential(memory: Memory, carry, xs, first):
    return memory.sequence(carry, xs, first)


def _differentiable(tree):
    return eqx.partition(tree, eqx.is_inexact_array)


def _pull(way, *inputs):
    """-> carry, outputs, and gradients in (memory, carry, xs) of what has the slopes `ys_` in outputs and `carry_`."""
    return jax.device_get(_program(way, *inputs))


@functools.partial(jax.jit, static_argnums=0)
def _program(way, memory, carry, xs, first, ys_, carry_):
    moving, fixed = _differentiable((memory, carry, xs))

    def run(moving):
        memory, carry, xs = eqx.combine(moving, fixed)
        carry, ys = way(memory, carry, xs, first)
        kept, rest = _differentiable(carry)
        return (kept, ys), rest

    (kept, ys), back, rest = jax.vjp(run, moving, has_aux=True)
    return eqx.combine(kept, rest), ys, back((carry_, ys_))[0]


def _flat(carry):
    """Slopes of 0 in a carry."""
    return jax.tree.map(np.zeros_like, _differentiable(carry)[0])


def _cut(tree, start: int, stop: int):
    return jax.tree.map(lambda x: x[start:stop], tree)


def _then(*trees):
    return jax.tree.map(lambda *xs: np.concatenate(xs), *trees)


def _by_step(memory, carry, xs, first, ys_):
    """-> outputs and gradients of repeated `step`; always as many steps, so that it is compiled once."""
    T, full = len(first), LONG + AFTER
    more = -(-full // T)
    xs = _cut(_then(*[xs] * more), 0, full)
    first, ys_ = (np.pad(x, ((0, full - T), (0, 0))[: x.ndim]) for x in (first, ys_))
    _, ys, (memory_, carry_, xs_) = _pull(stepwise, memory, carry, xs, first, ys_, _flat(carry))
    return ys[:T], (memory_, carry_, _cut(xs_, 0, T))


def _by_sequence(memory, carry, xs, first, ys_):
    _, ys, slopes = _pull(sequential, memory, carry, xs, first, ys_, _flat(carry))
    return ys, slopes


WAYS = {"step": _by_step, "sequence": _by_sequence}
_step = jax.jit(lambda memory, carry, x, first: memory.step(carry, x, first))


def _subject(example: Example):
    """-> a memory, a carry that 13 steps have written to, 40 inputs, and slopes in which all outputs differ [56 D]."""
    memory, xs = example(jax.random.key(0), LONG)
    past, carry = _inputs(example, 1, 13), memory.init_carry()
    for t in range(13):
        carry, y = _step(memory, carry, jax.tree.map(lambda x, t=t: x[t], past), np.array(False))
    slope = np.cos(np.arange((LONG + AFTER) * y.size, dtype=y.dtype)).reshape(-1, y.size)
    return memory, *jax.device_get((carry, xs)), slope


def _inputs(example: Example, seed: int, T: int):
    return jax.device_get(example(jax.random.key(seed), T)[1])


def _close_slopes(got, want, *, what: str) -> None:
    """Within 1e-3 of a leaf's largest entry: sums over time round in another order."""
    got, want = (jax.tree_util.tree_leaves_with_path(x) for x in (got, want))
    for (path, a), (_, b) in zip(got, want, strict=True):
        scale = float(np.abs(b).max(initial=0.0))
        close(a, b, atol=1e-3 * scale + 1e-6, rtol=1e-3, what=f"{what} in {jax.tree_util.keystr(path)}")


def m1_sequence(example: Example) -> None:
    """M1: `sequence` is `step` repeated, from a lived-in carry through resets: outputs, gradients in
    parameters, inputs and carry, and 16 further outputs; and any split into chunks is the same."""
    memory, carry, xs, slope = _subject(example)
    later, none = _inputs(example, 2, AFTER), np.zeros(AFTER, bool)
    first = np.isin(np.arange(LONG), RESETS)
    for T in LENGTHS:
        part, starts, ys_, later_ = _cut(xs, 0, T), first[:T], slope[:T], slope[T : T + AFTER]
        inputs = memory, carry, part, starts
        want, want_ = _by_step(memory, carry, _then(part, later), _then(starts, none), slope[: T + AFTER])
        after, ys, _ = _pull(sequential, *inputs, ys_, _flat(carry))
        further, (memory_, after_, _) = _by_step(memory, after, later, none, later_)
        close(_then(ys, further), want, what=f"M1: `sequence` of {T} steps and 16 outputs after it, against `step`")
        got_ = _pull(sequential, *inputs, ys_, after_)[2]
        got_ = jax.tree.map(np.add, got_[0], memory_), got_[1], got_[2]
        want_ = want_[0], want_[1], _cut(want_[2], 0, T)
        _close_slopes(got_, want_, what=f"M1: gradients through `sequence` of {T} steps, against `step`,")

    parts, at, now = [], 0, carry
    for T in SPLIT:
        now, part, _ = _pull(sequential, memory, now, _cut(xs, at, at + T), first[at : at + T], slope[:T], _flat(now))
        parts, at = [*parts, part], at + T
    whole = _by_sequence(memory, carry, xs, first, slope[:LONG])[0]
    close(np.concatenate(parts), whole, what=f"M1: `sequence` in chunks of {SPLIT} steps, against one of {LONG}")


def _with_nan(carry):
    return jax.tree.map(lambda x: np.full_like(x, np.nan) if eqx.is_inexact_array(x) else x, carry)


def m2_reset(example: Example) -> None:
    """M2: after a reset the tail equals the tail alone, also when the carry before it is filled with NaN."""
    memory, carry, xs, slope = _subject(example)
    for at in (0, 3, 12):
        first, rest = np.isin(np.arange(LONG), (at, 17)), LONG - at
        alone = _by_step(memory, memory.init_carry(), _cut(xs, at, LONG), first[at:], slope[:rest])[0]
        for name, run in WAYS.items():
            for past, start in {"a lived-in carry": carry, "a carry of NaN": _with_nan(carry)}.items():
                tail = run(memory, start, xs, first, slope[:LONG])[0][at:]
                close(
                    tail, alone, what=f"M2: the tail after a reset at {at}, by `{name}` from {past}, against it alone"
                )


def m3_gradient(example: Example) -> None:
    """M3: gradients of outputs after a reset in what came before it are exactly 0; and a carry of NaN, forgotten at
    once, reaches no gradient."""
    memory, carry, xs, slope = _subject(example)
    at = np.arange(LONG)
    slope = np.where(at[:, None] < 12, 0, slope[:LONG])
    for name, run in WAYS.items():
        _, carry_, xs_ = run(memory, carry, xs, at == 12, slope)[1]
        for what, leaves in {"the carry": carry_, "inputs": _cut(xs_, 0, 12)}.items():
            leaked = max((float(np.abs(x).max(initial=0.0)) for x in jax.tree.leaves(leaves)), default=0.0)
            require(leaked == 0, f"M3: a gradient of {leaked} crosses a reset into {what}, by `{name}`")
        reached = any(bool((x[12:] != 0).any()) for x in jax.tree.leaves(xs_))
        require(reached, f"M3: no gradient reaches the inputs after a reset, by `{name}`")
        fresh, nan = (run(memory, start, xs, at == 0, slope)[1] for start in (memory.init_carry(), _with_nan(carry)))
        _close_slopes((nan[0], nan[2]), (fresh[0], fresh[2]), what=f"M3: gradients by `{name}` from a carry of NaN")


def m6_counters(example: Example) -> None:
    """M6: nothing counts, neither steps nor episodes: over 10^5 steps of one input, of which the first and the last
    thousand make ten episodes each, no leaf's largest number of the second half exceeds that of the first (integers
    exactly, floats by 1 %)."""
    memory, xs = example(jax.random.key(0), 1)
    early, late = _largest(memory, jax.tree.map(lambda x: x[0], xs))
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(early), jax.tree.leaves(late), strict=True):
        bound = a if jnp.issubdtype(a.dtype, jnp.integer) else 1.01 * a + 1e-3
        where = f"carry{jax.tree_util.keystr(path)}"
        require(bool(b <= bound), f"M6: {where} counts: {a} within {AGE // 2} steps of one input, {b} within {AGE}")


@jax.jit
def _largest(memory, x):
    """-> of every leaf of the carry the largest absolute value, in each half of the memory's life."""

    def one(t, both):
        carry, seen = both
        first = ((t < SHORT) | (t >= AGE - SHORT)) & (t % (SHORT // 10) == 0)
        carry = memory.step(carry, x, first)[0]
        return carry, jax.tree.map(lambda s, c: jnp.maximum(s, jnp.abs(c).max(initial=0).astype(s.dtype)), seen, carry)

    def half(carry, begin):
        none = jax.tree.map(lambda c: jnp.zeros((), jnp.float32 if eqx.is_inexact_array(c) else jnp.int32), carry)
        return jax.lax.fori_loop(begin, begin + AGE // 2, one, (carry, none))

    halves = jax.lax.scan(half, memory.init_carry(), jnp.arange(2) * (AGE // 2))[1]
    return _cut(halves, 0, 1), _cut(halves, 1, 2)


def _signature(carry: Any):
    leaves, structure = jax.tree.flatten(carry)
    return structure, [(x.shape, np.dtype(x.dtype).name) for x in leaves]


def m7_carry(example: Example) -> None:
    """M7: structure, shapes and dtypes of the carry never change; `vmap` is a loop; the gradient of a gradient, in
    float64, is its finite difference."""
    memory, carry, xs, slope = _subject(example)
    want = _signature(memory.init_carry())
    for name, way in {"step": stepwise, "sequence": sequential}.items():
        got = _signature(jax.eval_shape(way, memory, memory.init_carry(), xs, np.zeros(LONG, bool))[0])
        require(got == want, f"M7: the carry after `{name}` is {got}, `init_carry` gives {want}")

    first = np.isin(np.arange(3 * LONG).reshape(3, LONG), (7, 8, LONG, LONG + 21, 2 * LONG + 30))
    streams = [_inputs(example, seed, LONG) for seed in range(4, 7)]
    alone = [_by_sequence(memory, carry, x, f, slope[:LONG])[0] for x, f in zip(streams, first, strict=True)]
    together = jax.tree.map(lambda *xs: np.stack(xs), *streams)
    for name, way in {"step": stepwise, "sequence": sequential}.items():
        ys = jax.jit(jax.vmap(way, (None, None, 0, 0)))(memory, carry, together, first)[1]
        close(ys, np.stack(alone), what=f"M7: vmap of `{name}` against a loop")
    with jax.enable_x64(True):
        _second_order(example)


def _second_order(example: Example) -> None:
    memory, xs = example(jax.random.key(0), 11)
    first = jnp.arange(11) == 6
    require(all(x.dtype == jnp.float64 for x in jax.tree.leaves(xs)), "M7: `example` fixes a dtype of its inputs")

    def steepness(xs):
        slopes = jax.grad(lambda xs: jnp.sin(memory.sequence(memory.init_carry(), xs, first)[1]).sum())(xs)
        return sum((x**2).sum() for x in jax.tree.leaves(slopes))

    leaves, structure = jax.tree.flatten(xs)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    way = structure.unflatten([jax.random.normal(key, x.shape, x.dtype) for x, key in zip(leaves, keys, strict=True)])
    both = jax.jit(jax.value_and_grad(steepness))

    def at(h):
        return float(both(jax.tree.map(lambda x, d: x + h * d, xs, way))[0])

    got = float(sum(jax.tree.leaves(jax.tree.map(np.vdot, both(xs)[1], way))))
    want = (at(1e-5) - at(-1e-5)) / 2e-5
    close(got, want, atol=1e-6, rtol=1e-4, what="M7: the gradient of a gradient, against its finite difference")


LAWS: dict[str, Callable[[Example], None]] = {
    "M1": m1_sequence,
    "M2": m2_reset,
    "M3": m3_gradient,
    "M6": m6_counters,
    "M7": m7_carry,
}
