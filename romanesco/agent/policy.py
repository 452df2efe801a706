"""A trained agent in the hands of its user: it keeps its own memory and answers in the world's own actions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key, PyTree

from romanesco.agent.agent import blank
from romanesco.agent.maps import maps
from romanesco.core.actions import enter
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Space, describe
from romanesco.core.types import Actor, Carry


def _leaf(space: Space, obs: Any) -> tuple[Any, Any]:
    """One array of an observation, and its space."""
    while isinstance(space, dict | tuple):
        key = next(iter(space)) if isinstance(space, dict) else 0
        space, obs = space[key], obs[key]
    return space, obs


def _typed(x: Any, dtype: Any) -> Any:
    """An array of the space's type, where that loses nothing but precision."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    return x.astype(dtype) if np.can_cast(x.dtype, dtype, "same_kind") else x


def _answer(action: PyTree[Array], bare: bool) -> PyTree[np.ndarray]:
    """Actions [B ...] as NumPy arrays, or the one of a single stream."""
    return jax.tree.map(lambda x: np.asarray(x)[0] if bare else np.asarray(x), action)


class Policy:
    """`policy(obs)` is greedy and remembers; `reset(batch=n)` first, for n streams. Normalizer included.

    Observations and actions are the world's own: a `Discrete` from its start on, a `Box` within its bounds, dicts and
    tuples of them. `seed` is the training seed, `selected` says how it was chosen among others, None where it was not.
    """

    def __init__(
        self,
        actor: Actor,
        observation_space: Space,
        action_space: Space,
        *,
        seed: int | None = None,
        selected: str | None = None,
        within: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ):
        """`within` is the precision in which everything but the pure form `step` is computed."""
        self.actor, self.observation_space, self.action_space = actor, observation_space, action_space
        self.seed, self.selected, self._within = seed, selected, within
        self._step = jax.jit(self._batched, static_argnums=4)
        self.reset()

    def __repr__(self) -> str:
        chosen = f", {self.selected}" if self.selected else ""
        return f"Policy(seed {self.seed}{chosen}: {describe(self.observation_space)} -> {describe(self.action_space)})"

    def _batched(self, carry, obs, first, key, greedy):
        def one(carry, obs, first, key):
            carry, said = self.actor.step(carry, obs, first)
            return carry, enter(self.action_space, said.dist.mode() if greedy else said.dist.sample(key))

        return jax.vmap(one)(carry, obs, first, jax.random.split(key, first.shape[0]))

    def reset(self, batch: int = 1) -> None:
        """Forgets everything, for `batch` streams."""
        if batch < 1:
            raise BadInput(f"batch={batch}: at least 1 stream")
        self.batch = batch
        self._carry = self.init_carry(batch)
        self._first = np.ones(batch, bool)

    def init_carry(self, batch: int) -> Carry:
        """Empty memories [B ...]."""
        with self._within():
            return jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *x.shape)), self.actor.init_carry())

    def _streams(self, obs: PyTree[Any]) -> tuple[PyTree[Any], int, bool]:
        """-> observations [B ...], B, and whether they came without that axis."""
        space, leaf = _leaf(self.observation_space, obs)
        shape = np.shape(leaf)
        bare = shape == space.shape
        if not bare and shape[1:] != space.shape:
            raise BadInput(f"an observation of shape {shape}; this policy sees {describe(self.observation_space)}")
        obs = jax.tree.map(lambda like, x: _typed(x, like.dtype), blank(self.observation_space), obs)
        return (jax.tree.map(lambda x: x[None], obs), 1, True) if bare else (obs, shape[0], False)

    def __call__(self, obs: PyTree[Any], *, first: Bool[Any, "B"] | None = None) -> PyTree[np.ndarray]:
        """The greedy action of each stream; `first` marks those whose episode starts here.

        After `reset(batch=1)` an observation without a stream axis gets an action without one.
        """
        obs, batch, bare = self._streams(obs)
        if batch != self.batch:
            raise BadInput(f"{batch} observations for {self.batch} stream(s); call reset(batch={batch}) first")
        restart = self._first if first is None else self._first | np.asarray(first, bool)
        with self._within():
            self._carry, action = self._step(self._carry, obs, restart, jax.random.key(0), True)
        self._first = np.zeros(batch, bool)
        return _answer(action, bare)

    def predict(
        self,
        observation: PyTree[Any],
        state: Carry | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
        *,
        key: Key[Array, ""] | None = None,
    ) -> tuple[PyTree[np.ndarray], Carry]:
        """Stable-Baselines3's form: -> actions, state. `key` is needed where `deterministic` is false."""
        obs, batch, bare = self._streams(observation)
        if not deterministic and key is None:
            raise BadInput("deterministic=False: give key=jax.random.key(n), from which actions are drawn")
        first = np.full(batch, state is None) if episode_start is None else np.broadcast_to(episode_start, (batch,))
        carry = self.init_carry(batch) if state is None else state
        with self._within():
            key = jax.random.key(0) if key is None else key
            carry, action = self._step(carry, obs, first, key, bool(deterministic))
        return _answer(action, bare), carry

    def explain(self, obs: PyTree[Any], first: Bool[Any, "T B"]) -> dict[str, Array]:
        """What is attended to over recorded observations [T B ...], from empty memories on: `agent.maps.maps`.

        `first` marks where episodes start. It leaves the policy's own memory alone.
        """
        typed = jax.tree.map(lambda like, x: _typed(x, like.dtype), blank(self.observation_space), obs)
        shapes = [np.shape(x)[2:] for x in jax.tree.leaves(typed)]
        if shapes != [like.shape for like in jax.tree.leaves(blank(self.observation_space))]:
            raise BadInput(f"observations [T B ...] are wanted; this policy sees {describe(self.observation_space)}")
        with self._within():
            return jax.jit(maps)(self.actor, self.init_carry(np.shape(first)[1]), typed, np.asarray(first, bool))

    def step(
        self, carry: Carry, obs: PyTree[Array], first: Bool[Array, ""], key: Key[Array, ""]
    ) -> tuple[Carry, PyTree[Array]]:
        """The pure form, one stream: -> carry, a sampled action. Batch it with `jax.vmap`.

        The first carry is `policy.actor.init_carry()`.
        """
        carry, said = self.actor.step(carry, obs, first)
        return carry, enter(self.action_space, said.dist.sample(key))
