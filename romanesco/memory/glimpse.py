"""A memory that looks at the tokens of the present with a query of its own. N tokens, D their width, H heads."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.core.attention import MultiHead, Pool
from romanesco.core.errors import BadInput, among
from romanesco.core.layers import Norm, widen
from romanesco.core.scan import scan_steps
from romanesco.core.types import Carry, Memory
from romanesco.memory.stack import Stacked

WHENS = ("before", "after")


class Glimpse(eqx.Module):
    """Attention to tokens [N D], or (tokens, alive [N]), whose query comes from a memory; itself a Memory.

    `when="before"` (after Mott et al., 2019, arXiv 1906.02500): the query is W y_{t-1} + b, y being 0 where an episode
    starts; what it finds is the memory's input, and y_t the output. Sequential in time. `when="after"`: the memory
    reads the tokens pooled by a learned query per head, the query is W y_t + b, and the output is [y_t, what it finds]:
    as parallel in time as the memory. Tokens are normalized; what is not alive is as if absent.
    """

    memory: Memory
    norm: Norm
    look: MultiHead
    pool: Pool | None  # only `after`
    width: int = eqx.field(static=True)  # of y

    stacked: ClassVar[Stacked | None] = None

    def __init__(
        self,
        size: int,
        *,
        memory: Callable[..., Any],
        when: str = "before",
        heads: int = 4,
        scores: str = "learned",
        key: Key[Array, ""],
    ):
        """`memory(size, key=)` makes the memory that asks, over vectors [D]; `scores` is as in `MultiHead`."""
        if when not in WHENS:
            raise BadInput(f"when `{when}`{among(when, WHENS)}")
        if heads < 1 or size % heads:
            divisors = ", ".join(str(n) for n in range(1, size + 1) if size % n == 0)
            raise BadInput(f"heads={heads} does not divide size={size}; divisors: {divisors}")
        k_memory, k_look, k_pool = jax.random.split(key, 3)
        self.memory, self.norm = memory(size, key=k_memory), Norm(size)
        x = jax.ShapeDtypeStruct((size,), self.norm.scale.dtype)
        say = lambda x: self.memory.step(self.memory.init_carry(), x, jnp.array(True))[1]
        self.width = jax.eval_shape(say, x).shape[-1]
        self.look = MultiHead(size, heads, query_size=self.width, scores=scores, key=k_look)
        self.pool = Pool(size, heads, scores=scores, key=k_pool) if when == "after" else None

    @staticmethod
    def example(key: Key[Array, ""], T: int, *, when: str = "before") -> tuple["Glimpse", Float[Array, "T N D"]]:
        from romanesco.memory.gru import GRU

        k_glimpse, k_x = jax.random.split(key)
        made = Glimpse(6, memory=lambda size, key: GRU(size, units=5, key=key), when=when, heads=2, key=k_glimpse)
        return made, 2 * jax.random.normal(k_x, (T, 4, 6))

    @property
    def size_out(self) -> int:
        return self.width if self.pool is None else self.width + len(self.norm.scale)

    def init_carry(self) -> Carry:
        """The memory's, and with `before` the last y."""
        carry = self.memory.init_carry()
        return carry if self.pool else (carry, jnp.zeros(self.width, widen(self.norm.scale).dtype))

    def _find(self, y, x):  # -> what the query of y finds [D], weights [1 H 1 N]
        tokens, alive = _parts(x)
        query = y.astype(tokens.dtype)[None]
        found, weights = self.look(query, self.norm(tokens), None if alive is None else alive[None])
        return found[0], weights[None]

    def _before(self, carry, x, first):
        carry, y = carry
        found, weights = self._find(jnp.where(first, 0.0, y), x)
        carry, y = self.memory.step(carry, found, first)
        return (carry, widen(y)), (y, found, weights)

    def _after(self, remember: Callable, over: Callable, carry, x, first):
        """Of one step or, `over` being `vmap`, of many; what `remember` says besides comes last."""
        pool: Any = self.pool
        pooled, pooling = over(lambda x: pool(*_parts(x)))(x)
        carry, y, *told = remember(carry, pooled, first)
        found, weights = over(self._find)(y, x)
        return carry, jnp.concatenate([y, found], -1), {"pool": pooling[..., None, :, :, :], "glimpse": weights}, *told

    def step(self, carry: Carry, x: PyTree[Array], first: Bool[Array, ""]):
        if self.pool is not None:
            return self._after(self.memory.step, lambda f: f, carry, x, first)[:2]
        carry, (y, *_) = self._before(carry, x, first)
        return carry, y

    def sequence(self, carry: Carry, xs: PyTree[Array], first: Bool[Array, "T"]):
        if self.pool is not None:
            return self._after(self.memory.sequence, jax.vmap, carry, xs, first)[:2]
        return scan_steps(self.step, carry, xs, first)

    def explain(self, carry: Carry, xs: PyTree[Array], first: Bool[Array, "T"]):
        """What `sequence` returns, and weights: `glimpse` [T 1 H 1 N], with `after` also `pool` [T 1 H 1 N], and those
        of the memory if it has some."""
        remember: Callable = getattr(self.memory, "explain", self.memory.sequence)
        if self.pool is not None:
            carry, ys, maps, *told = self._after(remember, jax.vmap, carry, xs, first)
        else:
            start = carry[0]
            carry, (ys, found, weights) = scan_steps(self._before, carry, xs, first)
            maps, told = {"glimpse": weights}, remember(start, found, first)[2:]
        return carry, ys, {**maps, **(told[0] if told else {})}


def _parts(x):  # -> tokens, dead ones 0, alive or None
    if not isinstance(x, tuple):
        return x, None
    tokens, alive = x
    return jnp.where(alive[:, None], tokens, 0.0), alive
