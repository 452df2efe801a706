"""A memory of your own: a leaky average whose rates are learned."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

import romanesco as rm
from romanesco.core.scan import linear_scan


class Leaky(eqx.Module):
    """h_t = a h_{t-1} + (1 - a) W x_t, with one a in (0, 1) for each feature."""

    enter: eqx.nn.Linear
    logit: Float[Array, "D"]

    def __init__(self, size: int, *, key: Key[Array, ""]):
        self.enter = eqx.nn.Linear(size, size, key=key)
        self.logit = jnp.linspace(0.0, 5.0, size)  # averages over 2 to 150 steps

    def init_carry(self) -> Float[Array, "D"]:
        return jnp.zeros(self.logit.shape)

    def step(self, carry: Float[Array, "D"], x: Float[Array, "D"], first: Bool[Array, ""]):
        a = jax.nn.sigmoid(self.logit)
        h = jnp.where(first, 0.0, carry) * a + (1 - a) * self.enter(x)
        return h, h

    def sequence(self, carry: Float[Array, "D"], xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """The same, all steps at once: a reset is a decay of zero."""
        a = jax.nn.sigmoid(self.logit)
        decay = jnp.where(first[:, None], 0.0, a)
        hs = linear_scan(decay, (1 - a) * jax.vmap(self.enter)(xs), carry)
        return hs[-1], hs


if __name__ == "__main__":
    run = rm.train("quickstart", memory=Leaky, name="leaky")
    print(run.results["iqm"])
