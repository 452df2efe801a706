"""No memory: what every memory must beat."""

from typing import ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput
from romanesco.core.layers import MLP
from romanesco.memory.stack import Stacked


class Feedforward(eqx.Module):
    """`layers` dense tanh layers of the input's width; none of them is the identity. Its carry is empty."""

    mlp: MLP
    size_out: int = eqx.field(static=True)

    stacked: ClassVar[Stacked | None] = None

    def __init__(self, size: int, *, layers: int = 2, key: Key[Array, ""]):
        if layers < 0:
            raise BadInput(f"layers={layers}: at least 0 is needed")
        self.mlp = MLP(size, [size] * layers, key=key)
        self.size_out = size

    @staticmethod
    def example(key: Key[Array, ""], T: int) -> tuple["Feedforward", Float[Array, "T D"]]:
        k_cell, k_x = jax.random.split(key)
        return Feedforward(6, key=k_cell), jax.random.normal(k_x, (T, 6))

    def init_carry(self) -> tuple[()]:
        return ()

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        return carry, self.mlp(x)

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        return carry, self.mlp(xs)
