"""A causal convolution that forgets at resets. T time, C channels, W width, P = W - 1 steps of the past."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import check_positive
from romanesco.core.layers import widen


class Conv(eqx.Module):
    """y_t = b + sum_a w_a x_(t-a) over the ages a < W of this episode, each channel apart; w and b are born
    uniform within 1 / sqrt W."""

    weight: Float[Array, "W C"]  # the oldest first
    bias: Float[Array, "C"]

    def __init__(self, channels: int, width: int, *, key: Key[Array, ""]):
        check_positive(conv=width)
        born = jax.random.uniform(key, (width + 1, channels), minval=-1.0, maxval=1.0) / width**0.5
        self.weight, self.bias = born[:-1], born[-1]

    def init_carry(self) -> Float[Array, "P C"]:
        """The last P inputs, 0 where the episode had not begun."""
        return jnp.zeros_like(widen(self.weight[1:]))

    def step(self, carry, x: Float[Array, "C"], first: Bool[Array, ""]):
        seen = jnp.concatenate([jnp.where(first, 0.0, carry), x[None]])
        return seen[1:], (self.weight * seen).sum(0) + self.bias

    def sequence(self, carry, xs: Float[Array, "T C"], first: Bool[Array, "T"]):
        T, past = len(xs), len(carry)
        xs, episode = jnp.concatenate([carry, xs]), jnp.cumsum(jnp.pad(first, (past, 0)))

        def since(start, of):  # inputs from `start` on, 0 where their episode is not the one `of` says
            return jnp.where((episode[start : start + len(of)] == of)[:, None], xs[start : start + len(of)], 0.0)

        ys = sum(w * since(start, episode[past:]) for start, w in enumerate(self.weight))
        return since(T, jnp.broadcast_to(episode[-1], past)), ys + self.bias
