"""What memories share whose heads keep a state each and read a chunk of steps at once. H heads, d head width."""

import abc
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import dense, lecun, widen
from romanesco.memory.chunks import scan_chunks
from romanesco.memory.stack import Stacked
from romanesco.memory.unrolled import unrolled

CHUNK = 16  # steps that are read at once
SLOW, FAST = 1e-3, 1e-1  # rates of forgetting at birth, in log-decay a step


class Heads(eqx.Module):
    """H heads between two dense layers; `step` and `sequence` from what a cell says of one step and of a chunk."""

    enter: eqx.nn.Linear  # x -> vectors [d] of each head
    leave: eqx.nn.Linear  # what the heads read -> output
    heads: int = eqx.field(static=True)
    head_size: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = Stacked()

    def __init__(self, size: int, vectors: int, *, heads: int, head_size: int, key: Key[Array, ""]):
        check_positive(heads=heads, head_size=head_size)
        k_enter, k_leave = jax.random.split(key)
        self.heads, self.head_size = heads, head_size
        self.enter = lecun(size, vectors * heads * head_size, key=k_enter)
        self.leave = lecun(heads * head_size, size, key=k_leave)

    @classmethod
    def example(cls, key: Key[Array, ""], T: int) -> tuple[Self, Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return cls(6, heads=2, head_size=4, key=k_cell), 2 * jax.random.normal(k_x, (T, 6))  # type: ignore[call-arg]

    @property
    def size_out(self) -> int:
        return self.leave.weight.shape[0]

    def _vectors(self, x: Float[Array, "*n D"]) -> Float[Array, "v *n H d"]:
        parts = widen(dense(self.enter, x)).reshape(*x.shape[:-1], -1, self.heads, self.head_size)
        return jnp.moveaxis(parts, -3, 0)

    @abc.abstractmethod
    def _enter(self, x: Float[Array, "*n D"]) -> tuple[Any, Any]:
        """-> what the state reads of x, and what the output does."""

    @abc.abstractmethod
    def _advance(self, state, x, first: Bool[Array, ""]) -> tuple[Any, Float[Array, "H d"]]:
        """One step of the state -> the state, what the heads read."""

    @abc.abstractmethod
    def _chunk(self, state, x, first: Bool[Array, "Q"]) -> tuple[Any, Float[Array, "Q H d"]]:
        """Q times `_advance`."""

    @abc.abstractmethod
    def _leave(self, a: Float[Array, "*n H d"], rest) -> Float[Array, "*n D"]:
        """The output from what the heads read and what `_enter` left for it."""

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        inputs, rest = self._enter(x)
        carry, a = self._advance(carry, inputs, first)
        return carry, self._leave(a, rest)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        inputs, rest = self._enter(xs)
        carry, a = scan_chunks(self._chunk, carry, inputs, first, chunk=CHUNK)
        return carry, self._leave(a, rest)


class Weighed(Heads):
    """Heads that read a weighted sum of the values that were written, all channels of a value weighing alike."""

    def __init__(self, size: int, vectors: int, *, heads: int, head_size: int, key: Key[Array, ""]):
        super().__init__(size, vectors, heads=heads, head_size=head_size, key=key)

    @abc.abstractmethod
    def _silent(self, carry) -> Any:
        """The carry as if all values that were written had been 0, and had one channel."""

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and its weights unrolled: `signed` [H T T] by reading and writing step, and more."""
        inputs, rest = self._enter(xs)

        def read(carry, values):
            return scan_chunks(self._chunk, carry, inputs._replace(value=values), first, chunk=CHUNK)

        carry, a, maps = unrolled(read, carry, self._silent(carry), inputs.value, width=1)
        return carry, self._leave(a, rest), maps


def softplus_inverse(rates: Float[np.ndarray, "*n"]) -> Float[Array, "*n"]:
    """What softplus maps to positive `rates`."""
    return jnp.asarray(np.log(np.expm1(rates)))
