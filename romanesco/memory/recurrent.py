"""What gated recurrent cells share. T time, D inputs, E numbers that enter, U units."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, orthogonal, widen
from romanesco.memory.stack import Stacked


def gated(size: int, units: int, gates: int, *, key: Key[Array, ""]) -> eqx.nn.Linear:
    """One layer that computes `gates` orthogonal maps of gain 1 side by side, [size] -> [gates * units]; bias 0."""
    layer = eqx.nn.Linear(size, gates * units, key=key)
    weight = jnp.concatenate([orthogonal(size, units, gain=1.0, key=k).weight for k in jax.random.split(key, gates)])
    return eqx.tree_at(lambda m: (m.weight, m.bias), layer, (weight, jnp.zeros(gates * units)))


def check_units(units: int) -> int:
    if units < 1:
        raise BadInput(f"units={units}: at least 1 is needed")
    return units


class Recurrent(eqx.Module):
    """A cell that is `update(carry, e) -> carry, h`, e being what `enter` makes of the input, of all steps at once."""

    enter: eqx.AbstractVar[eqx.nn.Linear]

    stacked: ClassVar[Stacked | None] = None

    def update(self, carry, e: Float[Array, "E"]) -> tuple[Any, Float[Array, "U"]]:
        raise NotImplementedError

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        return self._fresh(carry, widen(dense(self.enter, x)), first)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        return jax.lax.scan(lambda carry, x: self._fresh(carry, *x), carry, (widen(dense(self.enter, xs)), first))

    def _fresh(self, carry, e, first):
        return self.update(jax.tree.map(lambda part: jnp.where(first, 0.0, part), carry), e)
