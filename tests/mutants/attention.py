"""Attention that breaks one law each: functions like `attend`, and examples of encoders."""

import equinox as eqx
import jax
import jax.numpy as jnp

from romanesco.agent.encoders.attention import Attention, Entities
from romanesco.core.attention import attend
from romanesco.core.spaces import Box


def plain(q, k, v, bias=None, allow=None, *, scale=True, least=-1e9):
    """Sound where no query is blind and no number is NaN: a forbidden logit is very low."""
    logits = jnp.einsum("qhd,khd->hqk", q, k) / (q.shape[-1] ** 0.5 if scale else 1)
    logits = logits if bias is None else logits + bias
    logits = logits if allow is None else jnp.where(allow, logits, least)
    weights = jax.nn.softmax(logits)
    return jnp.einsum("hqk,khd->qhd", weights, v), weights


def lenient(*inputs):
    """Forbidden tokens keep some weight."""
    return plain(*inputs, least=-3.0)


def unscaled(*inputs):
    return plain(*inputs, scale=False)


def folded(q, k, v, bias=None, allow=None):
    """Heads made by a bare reshape."""
    fold = lambda x: x.reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1)
    return attend(fold(q), fold(k), v, bias, allow)


def biasless(q, k, v, bias=None, allow=None):
    return attend(q, k, v, None, allow)


def multiplied(q, k, v, bias=None, allow=None):
    """Forgets by products: 0 x NaN is NaN."""
    weights = attend(q, k, v, bias, allow)[1]
    return jnp.einsum("hqk,khd->qhd", weights, v), weights


def forward_only(q, k, v, bias=None, allow=None):
    """Selects logits, not the keys that they are made of: NaN comes back in the gradients of queries."""
    weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5 + bias, where=allow)
    return attend(q, k, v, bias, allow)[0] + 0 * weights.sum(), weights


def dropped(q, k, v, bias=None, allow=None):
    """Dropout on the weights."""
    y, weights = attend(q, k, v, bias, allow)
    return y, weights.at[..., 2].set(0.0) * 1.25


def summed(q, k, v, bias=None, allow=None):
    """Reads a sum, says the weights of a mean."""
    y, weights = attend(q, k, v, bias, allow)
    return y * k.shape[0], weights


BROKEN_ATTEND = [
    (plain, "A2"),
    (lenient, "A2"),
    (dropped, "A2"),
    (unscaled, "A3"),
    (folded, "A3"),
    (biasless, "A3"),
    (multiplied, "A5"),
    (forward_only, "A5"),
    (lenient, "A7"),
    (dropped, "A8"),
    (summed, "A8"),
]


class Mutant(eqx.Module):
    """The sound encoder, until a subclass overrides a method."""

    inner: Attention

    @classmethod
    def example(cls, key):
        encoder, obs = Attention.example(key)
        return cls(encoder), obs

    @property
    def tokens(self):
        return self.inner.tokens

    def __call__(self, obs):
        return self.explain(obs)[0]

    def explain(self, obs):
        return self.inner.explain(obs)


class Otherwise(Mutant):
    """Shows a vector that it does not give."""

    def __call__(self, obs):
        return 1.001 * self.inner(obs)


class Sloppy(Mutant):
    """Shows weights of another scale."""

    def explain(self, obs):
        y, maps = self.inner.explain(obs)
        return y, {name: 0.9 * weights for name, weights in maps.items()}


def single(key):
    """One token, by way of a reader that does not ask."""
    encoder, obs = Attention.example(key)
    return eqx.tree_at(lambda e: e.tokens, encoder, First(encoder.tokens)), obs


class First(eqx.Module):
    """The first token alone."""

    inner: eqx.Module

    def __call__(self, obs):
        return self.inner(obs)[:1]


def control(name):
    def example(key):
        k_encoder, k_obs = jax.random.split(key)
        space = Box((3,))
        return Attention(space, width=8, heads=2, control=name, key=k_encoder), jax.random.normal(k_obs, (3,))

    return example


class Crowd(eqx.Module):
    """Entities, until a subclass overrides `see`."""

    inner: Entities

    @classmethod
    def example(cls, key):
        encoder, obs = Entities.example(key)
        return cls(encoder), obs

    def __call__(self, obs):
        return self.explain(obs)[0]

    def explain(self, obs):
        return self.inner.reader(*self.see(obs))

    def see(self, obs):
        alive = jnp.append(obs["alive"], True)
        return self.inner.tokens(jnp.where(obs["alive"][:, None], obs["entities"], 0), obs["self"]), alive


class Numbered(Crowd):
    """Tells entities by their place."""

    def see(self, obs):
        tokens, alive = super().see(obs)
        return tokens + jnp.sin(jnp.arange(tokens.size)).reshape(tokens.shape), alive


class Credulous(Crowd):
    """Takes the dead for living."""

    def see(self, obs):
        tokens, alive = super().see(obs)
        return tokens, jnp.ones_like(alive)


class Unclean(Crowd):
    """Makes tokens of what the dead hold: their weights are 0, their gradients are not."""

    def see(self, obs):
        return self.inner.tokens(obs["entities"], obs["self"]), super().see(obs)[1]


BROKEN = [
    (Numbered.example, "A4"),
    (Credulous.example, "A2"),
    (Unclean.example, "A5"),
    (Otherwise.example, "A1"),
    (control("mlp_matched"), "A1"),
    (Sloppy.example, "A2"),
    (single, "A6"),
    (control("frozen_qk"), "A6"),
    (control("uniform"), "A6"),
]
