"""The laws of attention, A1, A2 and A8, of memories that have `explain`, through their `example`. T time, H heads.

`explain(carry, xs, first)` is `sequence` that also returns `attention` [H T T], a softmax, or `signed`, any other
weights: of reading step t for the value of step j. `before` [H T] is the part of what came before the sequence: the
sum of its weights, or for `signed` its share of the read-out, a_before . a / a . a. `values` and `read` [H T d] are
what is weighed and what is read. A memory whose value channels weigh differently shows the mean of their weights and
says `channels_differ = True`: then A8 holds it to its read-out where there is one channel. A stack puts its layers
first.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from romanesco.laws.memory import Example
from romanesco.laws.verdict import close, require

T, CUT = 18, 9  # steps; where a second segment begins
FIRST = np.isin(np.arange(T), [4, 12])  # a carry is read, forgotten, and steps are read across the cut


@jax.jit
def look(memory, carry, xs, first):
    """-> what `explain` and `sequence` return; of T steps, so that it is compiled once."""
    return memory.explain(carry, xs, first), memory.sequence(carry, xs, first)


_step = jax.jit(lambda memory, carry, x, first: memory.step(carry, x, first)[0])


def _subject(example: Example):
    """-> a memory, a carry that T steps have written to, and inputs."""
    memory, xs = example(jax.random.key(0), T)
    past = example(jax.random.key(1), T)[1]
    return memory, look(memory, memory.init_carry(), past, jnp.zeros(T, bool))[1][0], xs


def _weights(maps) -> tuple[str, np.ndarray]:
    shown = [name for name in ("attention", "signed") if name in maps]
    require(len(shown) == 1, f"A1: `explain` shows {', '.join(maps)}: neither `attention` nor `signed`, or both")
    return shown[0], np.asarray(maps[shown[0]])


def a1_explain(example: Example) -> None:
    """A1: `explain` gives the carry and the outputs of `sequence`, and weights."""
    memory, carry, xs = _subject(example)
    (*said, maps), plain = look(memory, carry, xs, jnp.asarray(FIRST))
    close(tuple(said), plain, what="A1: `explain` against `sequence`")
    _weights(maps)


def a2_rows(example: Example) -> None:
    """A2: the weight of a later step, or of one of another episode, is exactly 0, and after a reset nothing from before
    has a part; those of a softmax are at least 0 and sum to 1, with `before`."""
    memory, carry, xs = _subject(example)
    maps = look(memory, carry, xs, jnp.asarray(FIRST))[0][2]
    name, weights = _weights(maps)
    before = np.asarray(maps["before"])
    episode, t = np.cumsum(FIRST), np.arange(T)
    seen = (episode[:, None] == episode) & (t[:, None] >= t)
    require((weights[..., ~seen] == 0).all(), "A2: a step has a weight in an earlier one, or in another episode")
    require((before[..., episode > 0] == 0).all(), "A2: after a reset, what came before the sequence has a part")
    require(np.abs(before[..., episode == 0]).max() > 0, "A2: what a carry holds has no part in what is read")
    if name == "attention":
        require((weights >= 0).all() and (before >= 0).all(), "A2: a weight is below 0, or NaN")
        close(weights.sum(-1) + before, np.ones_like(before), what="A2: sums of rows")


def a8_read_out(example: Example) -> None:
    """A8: the weights times the values are what is read, and where the carry is read too, the rest of it; and a
    segment that begins with the carry of another has the weights of both in one."""
    memory, carry, xs = _subject(example)
    first = jnp.asarray(FIRST)
    maps = look(memory, carry, xs, first)[0][2]
    name, weights = _weights(maps)
    if not {"values", "read"} <= maps.keys():
        return
    got = np.einsum("...tj,...jd->...td", weights, maps["values"])
    alone, read = np.cumsum(FIRST) > 0, np.asarray(maps["read"])
    if read.shape[-1] == 1 or not getattr(memory, "channels_differ", False):
        close(got[..., alone, :], read[..., alone, :], what="A8: weights times values, against the read-out")
        if name == "signed":
            size = (read**2).sum(-1)
            close((got * read).sum(-1), (1 - np.asarray(maps["before"])) * size, what="A8: its part beside the carry's")
    for t in range(CUT):
        carry = _step(memory, carry, jax.tree.map(lambda x, t=t: x[t], xs), first[t])
    rest = jax.tree.map(lambda x: jnp.roll(x, -CUT, 0), xs), jnp.roll(first, -CUT).at[T - CUT].set(True)
    later = look(memory, carry, *rest)[0][2]
    got, own = _weights(later)[1][..., : T - CUT, : T - CUT], weights[..., CUT:, CUT:]
    close(got, own, what="A8: the weights of a segment, against those of the whole")
    if name == "attention":
        whole = weights[..., CUT:, :CUT].sum(-1) + np.asarray(maps["before"])[..., CUT:]
        close(np.asarray(later["before"])[..., : T - CUT], whole, what="A8: what came before a segment, against it")


LAWS: dict[str, Callable[[Example], None]] = {"A1": a1_explain, "A2": a2_rows, "A8": a8_read_out}
