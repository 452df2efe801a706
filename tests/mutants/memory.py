"""Memories that break one law each: a sound leaky sum, changed in one place; and an AGaLiTe with a wrong divisor."""

import equinox as eqx
import jax
import jax.numpy as jnp

from romanesco.memory.agalite import AGaLiTe
from romanesco.memory.slots import gates, queries


class Leaky(eqx.Module):
    """h' = 0.9 h + W x, sound; what a reset leaves of h is `forget`."""

    weight: jax.Array

    @classmethod
    def example(cls, key, T):
        k_weight, k_x = jax.random.split(key)
        return cls(jax.random.normal(k_weight, (3, 3))), jax.random.normal(k_x, (T, 3))

    def init_carry(self):
        return jnp.zeros(3)

    def forget(self, h, first):
        return jnp.where(first, 0.0, h)

    def step(self, carry, x, first):
        h = 0.9 * self.forget(carry, first) + self.weight @ x
        return h, jnp.tanh(h)

    def sequence(self, carry, xs, first):
        return jax.lax.scan(lambda carry, x: self.step(carry, *x), carry, (xs, first))


class Negated(Leaky):
    def forget(self, h, first):
        return jnp.where(first, h, 0.0)


class Multiplied(Leaky):
    def forget(self, h, first):
        return h * (1 - first)


class Leaking(Leaky):
    """Forgets the number, not where it came from."""

    def forget(self, h, first):
        return jnp.where(first, h - jax.lax.stop_gradient(h), h)


class Amnesiac(Leaky):
    """Its sequences begin with an empty carry."""

    def sequence(self, carry, xs, first):
        return super().sequence(self.init_carry(), xs, first)


class Detached(Leaky):
    """Its sequences hand no gradient to the carry they start from."""

    def sequence(self, carry, xs, first):
        return super().sequence(jax.lax.stop_gradient(carry), xs, first)


class Counting(Leaky):
    """Carries its age."""

    age = staticmethod(lambda: jnp.zeros(()))

    def init_carry(self):
        return super().init_carry(), self.age()

    def step(self, carry, x, first):
        h, y = super().step(carry[0], x, first)
        return (h, carry[1] + 1), y


class CountingIntegers(Counting):
    age = staticmethod(lambda: jnp.int32(0))


class CountingEpisodes(Counting):
    """Carries how many episodes it has seen."""

    def step(self, carry, x, first):
        h, y = Leaky.step(self, carry[0], x, first)
        return (h, carry[1] + first), y


BROKEN = [
    (Negated, "M2"),
    (Negated, "M3"),
    (Multiplied, "M2"),
    (Leaking, "M3"),
    (Amnesiac, "M1"),
    (Detached, "M1"),
    (Counting, "M6"),
    (CountingIntegers, "M6"),
    (CountingEpisodes, "M6"),
]


class CurrentKey(AGaLiTe):
    """Divides by what the query finds in the current key, not in the sum of keys."""

    def step(self, carry, x, first):
        (state, phase), _ = super().step(carry, x, first)
        wide, low = self._enter(x)
        gate, (q, low_q) = gates(jax.nn.relu, wide, low), queries(jax.nn.relu, wide, low)
        score = jnp.einsum("hced,hd,he->hc", state.keys, q, low_q)
        divisor = (q * gate.key).sum(-1) * (low_q * gate.low_key).sum(-1) + 1e-5 / self.channels
        return (state, phase), self._leave((score[..., None] * state.values).sum(1) / divisor[:, None])

    def sequence(self, carry, xs, first):
        return jax.lax.scan(lambda carry, x: self.step(carry, *x), carry, (xs, first))
