"""Distributions over actions, and the border where an action enters the world. A actions, K components.

Every method speaks of one stream: `vmap` where there are more.
"""

from __future__ import annotations

from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, Space, describe, frozen, in_form, leaves

LOG_2PI = float(np.log(2 * np.pi))


class Distribution(Protocol):
    """What a policy says: a distribution over actions."""

    def sample(self, key: Key[Array, ""]) -> PyTree[Array]: ...
    def mode(self) -> PyTree[Array]: ...
    def log_prob(self, action: PyTree[Array]) -> Float[Array, ""]: ...
    def entropy(self) -> Float[Array, ""]: ...
    def kl(self, other) -> Float[Array, ""]:
        """KL(self || other), of the same family."""
        ...


def forbid(logits: Float[Array, "*n"], allowed: Bool[Array, "*n"] | None) -> Float[Array, "*n"]:
    """Logits in which the actions that are not allowed have probability 0.

    They get the least finite number: -inf would make entropy, KL and their gradients NaN. A mask that allows
    nothing along the last axis is ignored (final observations carry such masks).
    """
    if allowed is None:
        return logits
    allowed = allowed | ~allowed.any(-1, keepdims=True)
    return jnp.where(allowed, logits, jnp.finfo(logits.dtype).min)


class Categorical(eqx.Module):
    """One of A actions, from logits (any additive constant)."""

    logits: Float[Array, "*n A"]

    @property
    def log_probs(self) -> Float[Array, "*n A"]:
        return jax.nn.log_softmax(self.logits)

    def sample(self, key: Key[Array, ""]) -> Int[Array, ""]:
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> Int[Array, ""]:
        return jnp.argmax(self.logits, -1).astype(jnp.int32)

    def log_prob(self, action: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.take_along_axis(self.log_probs, action[..., None], -1)[..., 0]

    def entropy(self) -> Float[Array, ""]:
        log_p = self.log_probs
        return -jnp.sum(jnp.exp(log_p) * log_p, -1)

    def kl(self, other: Categorical) -> Float[Array, ""]:
        log_p = self.log_probs
        return jnp.sum(jnp.exp(log_p) * (log_p - other.log_probs), -1)


class Factored(eqx.Module):
    """Independent categoricals, one for each component of a `MultiDiscrete`; actions have its shape.

    `logits` are padded to the largest component with the least finite number, and `sizes` says which are real.
    """

    logits: Float[Array, "*n K A"]
    shape: tuple[int, ...] = eqx.field(static=True)

    @staticmethod
    def of(space: MultiDiscrete, flat: Float[Array, "*n sum"], allowed: Bool[Array, "*n sum"] | None) -> Factored:
        """From the logits of all components in a row, row-major, as heads give them and masks come."""
        sizes = np.array(space.sizes)
        start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        column = np.arange(sizes.max())
        real = column < sizes[:, None]
        at = np.where(real, start[:, None] + column, 0)
        logits = flat[..., at]
        if allowed is not None:
            logits = forbid(logits, allowed[..., at] & real)
        return Factored(jnp.where(real, logits, jnp.finfo(flat.dtype).min), space.shape)

    @property
    def parts(self) -> Categorical:
        return Categorical(self.logits)

    def _rows(self, action):
        return action.reshape(*action.shape[: action.ndim - len(self.shape)], -1)

    def sample(self, key: Key[Array, ""]) -> Int[Array, "..."]:
        return self.parts.sample(key).reshape(self.shape)

    def mode(self) -> Int[Array, "..."]:
        return self.parts.mode().reshape(self.shape)

    def log_prob(self, action: Int[Array, "..."]) -> Float[Array, ""]:
        return self.parts.log_prob(self._rows(action)).sum(-1)

    def entropy(self) -> Float[Array, ""]:
        return self.parts.entropy().sum(-1)

    def kl(self, other: Factored) -> Float[Array, ""]:
        return self.parts.kl(other.parts).sum(-1)


class Gaussian(eqx.Module):
    """Independent normals over an array of numbers, with a standard deviation that no observation changes."""

    mean: Float[Array, "..."]
    log_std: Float[Array, "..."]

    def sample(self, key: Key[Array, ""]) -> Float[Array, "..."]:
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def mode(self) -> Float[Array, "..."]:
        return self.mean

    def log_prob(self, action: Float[Array, "..."]) -> Float[Array, ""]:
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * z**2 + self.log_std + 0.5 * LOG_2PI)

    def entropy(self) -> Float[Array, ""]:
        return jnp.sum(self.log_std + 0.5 * (1 + LOG_2PI))

    def kl(self, other: Gaussian) -> Float[Array, ""]:
        ratio = jnp.exp(2 * (self.log_std - other.log_std))
        far = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(ratio + far - 1) + jnp.sum(other.log_std - self.log_std)


class Joint(eqx.Module):
    """Independent parts, one for each leaf of a tree of spaces; actions have its form."""

    parts: tuple[Distribution, ...]
    space: dict | tuple = eqx.field(static=True)

    def sample(self, key: Key[Array, ""]) -> PyTree[Array]:
        keys = jax.random.split(key, len(self.parts))
        return in_form(self.space, [part.sample(k) for part, k in zip(self.parts, keys, strict=True)])

    def mode(self) -> PyTree[Array]:
        return in_form(self.space, [part.mode() for part in self.parts])

    def log_prob(self, action: PyTree[Array]) -> Float[Array, ""]:
        each = zip(self.parts, jax.tree.leaves(action), strict=True)
        return jnp.stack([part.log_prob(a) for part, a in each]).sum(0)

    def entropy(self) -> Float[Array, ""]:
        return jnp.stack([part.entropy() for part in self.parts]).sum(0)

    def kl(self, other: Joint) -> Float[Array, ""]:
        return jnp.stack([p.kl(q) for p, q in zip(self.parts, other.parts, strict=True)]).sum(0)


def head_sizes(space: Space) -> tuple[int, int]:
    """-> how many logits and how many means a policy's head gives for this action space."""
    match space:
        case Discrete():
            return space.n, 0
        case MultiDiscrete():
            return sum(space.sizes), 0
        case Box():
            return 0, int(np.prod(space.shape))
    if not leaves(space):
        raise BadInput(f"action space {describe(space)}: there is nothing to choose")
    logits, means = zip(*map(head_sizes, leaves(space)), strict=True)
    return sum(logits), sum(means)


def distribution(
    space: Space, head: Float[Array, "N"], log_std: Float[Array, "M"] | None, allowed: Bool[Array, "L"] | None
) -> Distribution:
    """The policy over `space` whose head says `head`: M means, each with its `log_std`, and L logits, each `allowed`
    or not. Those of a dict or tuple follow one another as its leaves do."""
    match space:
        case Discrete():
            return Categorical(forbid(head, allowed))
        case MultiDiscrete():
            return Factored.of(space, head, allowed)
        case Box():
            return Gaussian(head.reshape(space.shape), log_std.reshape(space.shape))  # type: ignore[union-attr]
    logits, means = np.transpose([head_sizes(leaf) for leaf in leaves(space)])
    rows = zip(leaves(space), _cut(head, logits + means), _cut(log_std, means), _cut(allowed, logits), strict=True)
    return Joint(tuple(distribution(*row) for row in rows), frozen(space))  # type: ignore[arg-type]


def _cut(x: Array | None, sizes: np.ndarray) -> list[Any]:
    """Pieces of these sizes, one after another."""
    return [x if x is None else x[end - n : end] for n, end in zip(sizes, np.cumsum(sizes), strict=True)]


def enter(space: Space, action: PyTree[Array]) -> PyTree[Array]:
    """What the world receives of a sampled action: offset, or clipped on a copy. The Rollout keeps the sampled one."""
    match space:
        case Discrete():
            return action + space.start
        case MultiDiscrete():
            return action
        case Box():
            low, high = space.bounds
            return jnp.clip(action, low, high).astype(space.dtype)
    return in_form(space, map(enter, leaves(space), jax.tree.leaves(action)))
