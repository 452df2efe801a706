"""One clock and one autoreset for every pure world."""

import abc
import dataclasses
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Param, Space, in_form, leaves
from romanesco.core.types import TimeStep
from romanesco.envs.lazy import lazy


class Dynamics(eqx.Module):
    """What the author of a world writes, for one stream: no clock, no reset, no wrapper. `Episodes` makes it an `Env`.

    State `s` is any pytree of arrays; dtypes may be loose (Python numbers, weak types), `Episodes` settles them.
    Numbers that a sweep may batch are array leaves of the dynamics, everything else is static.
    """

    observation_space: ClassVar[Space]  # a property or a static keyword-only field
    action_space: ClassVar[Space]
    params: ClassVar[dict[str, Param]] = {}
    feature_names: ClassVar[tuple[str, ...] | None] = None
    velocities: ClassVar[tuple[int, ...]] = ()  # components of the observation that `no_velocity` zeroes
    life: ClassVar[int] = 1  # episodes over which `again` keeps something; then the metric `life_end` tells the last
    deterministic: ClassVar[bool] = False  # no draw reaches the stream: then keys need not differ (law E4)

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> PyTree:
        """-> the state in which an episode starts."""

    @abc.abstractmethod
    def transition(self, key: Key[Array, ""], s: PyTree, action: PyTree[Array]) -> tuple[Any, Any, Any, Any]:
        """-> s', reward, terminated, truncated (for reasons of its own: the time limit is not its business)."""

    @abc.abstractmethod
    def observe(self, key: Key[Array, ""], s: PyTree) -> PyTree[Array]:
        """-> what is seen in `s`."""

    def again(self, key: Key[Array, ""], s: PyTree) -> PyTree:
        """-> the state in which the episode after the one that ended in `s` starts: what survives an episode."""
        return self.init(key)

    def metrics(self, s: PyTree) -> dict[str, Any]:
        """-> what there is to count of an episode that ended in `s`, beside return and length."""
        return {}

    def render(self, s: PyTree) -> UInt8[Array, "H W 3"]:
        raise BadInput(f"render: {type(self).__name__} has no picture")

    def at(self, numbers: dict[str, Any]) -> "Dynamics":
        """-> itself with other physical numbers, of those in `params`; what follows from them is computed anew."""
        raise BadInput(f"{type(self).__name__} has no physical parameters to set or draw")

    def limited(self, max_steps: int | None) -> "Dynamics":
        """-> itself under another time limit, for worlds that show the time left."""
        return self


class Altered(Dynamics):
    """A dynamics that is another one but for what is overridden. A further episode starts from its own `init`, and
    `at`, `life` and `deterministic` are not the other's."""

    dynamics: eqx.AbstractVar[Dynamics]

    def init(self, key: Key[Array, ""]) -> PyTree:
        return self.dynamics.init(key)

    def transition(self, key: Key[Array, ""], s: PyTree, action: PyTree[Array]) -> tuple[Any, Any, Any, Any]:
        return self.dynamics.transition(key, s, action)

    def observe(self, key: Key[Array, ""], s: PyTree) -> PyTree[Array]:
        return self.dynamics.observe(key, s)

    def metrics(self, s: PyTree) -> dict[str, Any]:
        return self.dynamics.metrics(s)

    def render(self, s: PyTree) -> UInt8[Array, "H W 3"]:
        return self.dynamics.render(s)

    @property
    def observation_space(self) -> Space:
        return self.dynamics.observation_space

    @property
    def action_space(self) -> Space:
        return self.dynamics.action_space

    @property
    def params(self) -> dict[str, Param]:
        return self.dynamics.params

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        return self.dynamics.feature_names

    @property
    def velocities(self) -> tuple[int, ...]:
        return self.dynamics.velocities

    def limited(self, max_steps: int | None) -> Self:
        return dataclasses.replace(self, dynamics=self.dynamics.limited(max_steps))


class Episode(eqx.Module):
    """The state of one stream."""

    s: PyTree[Array]
    t: Int[Array, ""]  # steps since the episode's first observation
    ended: Bool[Array, ""]  # the step just told was a `last`
    total: Float[Array, ""]  # return so far


def as_in(space: Space, x: PyTree) -> PyTree[Array]:
    """-> `x` in the dtypes of its space."""
    parts = zip(leaves(space), jax.tree.leaves(x), strict=True)
    return in_form(space, [jnp.asarray(leaf, part.dtype) for part, leaf in parts])


def choose(condition: Bool[Array, ""], yes: PyTree[Array], no: PyTree[Array]) -> PyTree[Array]:
    """-> `yes` where the condition holds, else `no`; leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _settled(*dtypes: Any) -> Any:
    """-> the dtype in which all can be kept, of at most 32 bits: a world is the same under JAX_ENABLE_X64."""
    if any(jnp.issubdtype(d, jax.dtypes.extended) for d in dtypes):
        return dtypes[0]
    dtype = np.dtype(jnp.promote_types(dtypes[0], dtypes[-1]))
    return np.dtype(f"{dtype.kind}4") if dtype.kind in "iuf" and dtype.itemsize == 8 else dtype


def _strong(x: PyTree, dtypes: PyTree) -> PyTree[Array]:
    return jax.tree.map(lambda leaf, dtype: jax.lax.convert_element_type(leaf, dtype), x, dtypes)


@jax.jit
def _begun_and_moved(dynamics: Dynamics, key: Key[Array, ""], action: PyTree[Array]) -> tuple[PyTree, PyTree]:
    """-> a first state and the one after it. A jitted function's shapes are traced once and then remembered."""
    s = dynamics.init(key)
    s = _strong(s, jax.tree.map(lambda x: _settled(jnp.result_type(x)), s))
    return s, dynamics.transition(key, s, action)[0]


class Episodes(eqx.Module):
    """A `Dynamics` as an `Env`: the clock, the limit, the autoreset, the return.

    At key k every step splits k_init, k_step, k_obs; so does `reset`, and an autoreset at k is `reset(k)` unless the
    dynamics has its own `again`. Termination wins over the limit; a limit keeps discount 1 unless
    `limit_is_terminal`, which reproduces references that confuse the two. No gradient passes.

    `lazy_width` is for worlds whose `init` is dear: under `vmap` only ended streams start anew, that many at a time.
    0 starts anew everywhere and selects; the numbers are the same.
    """

    dynamics: Dynamics
    max_steps: int | None = eqx.field(static=True, default=None)
    threshold: float | None = eqx.field(static=True, default=None)
    limit_is_terminal: bool = eqx.field(static=True, default=False)
    lazy_width: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if self.max_steps is not None and self.max_steps < 1:
            raise BadInput(f"max_steps={self.max_steps}: an episode has at least 1 step")

    @property
    def observation_space(self) -> Space:
        return self.dynamics.observation_space

    @property
    def action_space(self) -> Space:
        return self.dynamics.action_space

    @property
    def params(self) -> dict[str, Param]:
        return self.dynamics.params

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        return self.dynamics.feature_names

    @property
    def velocities(self) -> tuple[int, ...]:
        return self.dynamics.velocities

    @property
    def life(self) -> int:
        return self.dynamics.life

    @property
    def deterministic(self) -> bool:
        return self.dynamics.deterministic

    @property
    def carries_over(self) -> bool:
        """Whether something survives an episode: then an autoreset is not a `reset`."""
        return type(self.dynamics).again is not Dynamics.again

    def reset(self, key: Key[Array, ""]) -> tuple[Episode, TimeStep]:
        k_init, _, k_obs = jax.random.split(key, 3)
        state = self._begin(self.dynamics.init(k_init))
        return self._say(k_obs, state, jnp.float32(0), jnp.float32(1), jnp.array(True))

    def step(self, key: Key[Array, ""], state: Episode, action: PyTree[Array]) -> tuple[Episode, TimeStep]:
        k_init, k_step, k_obs = jax.random.split(key, 3)
        first = state.ended
        moved, reward, discount = self._move(k_step, state, action)
        state = self._again(first, moved, k_init, state.s)
        return self._say(k_obs, state, jnp.where(first, 0.0, reward), jnp.where(first, 1.0, discount), first)

    def metrics(self, state: Episode) -> dict[str, Float[Array, ""]]:
        told = {"return": state.total, "length": state.t, **self.dynamics.metrics(state.s)}
        return {name: jnp.asarray(x, jnp.float32) for name, x in told.items()}

    def render(self, state: Episode) -> UInt8[Array, "H W 3"]:
        return self.dynamics.render(state.s)

    def model(self) -> "Absorbing":
        """-> this world for planners: the same states, no autoreset."""
        return Absorbing(self)

    def limited(self, max_steps: int | None) -> "Episodes":
        """-> this world under another time limit."""
        return dataclasses.replace(self, dynamics=self.dynamics.limited(max_steps), max_steps=max_steps)

    def _again(self, first: Bool[Array, ""], moved: Episode, key: Key[Array, ""], s: PyTree) -> Episode:
        """-> a new episode where `first`, else `moved`."""
        if not self.lazy_width:
            return choose(first, self._begin(self.dynamics.again(key, s)), moved)
        arrays, static = eqx.partition(self.dynamics, eqx.is_array)
        begin = lambda arrays, key, s: self._begin(eqx.combine(arrays, static).again(key, s))
        return lazy(begin, width=self.lazy_width)(first, moved, arrays, key, s)

    def _begin(self, s: PyTree) -> Episode:
        return Episode(_strong(s, self._dtypes()), jnp.int32(0), jnp.array(False), jnp.float32(0))

    def _move(self, key, state: Episode, action) -> tuple[Episode, Float[Array, ""], Float[Array, ""]]:
        """-> the state after `action`, the reward and the discount, whatever ended before."""
        s, reward, terminated, truncated = self.dynamics.transition(key, state.s, as_in(self.action_space, action))
        t = state.t + 1
        limit = jnp.array(False) if self.max_steps is None else t >= self.max_steps
        terminated = jnp.asarray(terminated, bool) | (limit & self.limit_is_terminal)
        reward = jnp.asarray(reward, jnp.float32)
        ended = terminated | jnp.asarray(truncated, bool) | limit
        moved = Episode(_strong(s, self._dtypes()), t, ended, state.total + reward)
        return moved, reward, 1 - terminated.astype(jnp.float32)

    def _say(self, key, state: Episode, reward, discount, first) -> tuple[Episode, TimeStep]:
        obs = as_in(self.observation_space, self.dynamics.observe(key, state.s))
        return jax.lax.stop_gradient((state, TimeStep(obs, reward, discount, first, state.ended)))

    def _dtypes(self) -> PyTree:
        """-> the dtype of every leaf of `s`: what both `init` and `transition` fit into.

        Where they disagree, or are weak, the second call would be a second program.
        """

        action = jax.tree.map(lambda space: jax.ShapeDtypeStruct(space.shape, space.dtype), self.action_space)
        begun, moved = _begun_and_moved.eval_shape(self.dynamics, jax.eval_shape(jax.random.key, 0), action)
        return jax.tree.map(lambda a, b: _settled(a.dtype, b.dtype), begun, moved)


class Absorbing(eqx.Module):
    """An episodic world without autoreset: after a `last` nothing happens any more.

    There it stays `last`, pays 0 and keeps discount 1, so that the product of discounts along a path tells a
    termination (0) from a truncation (1).
    """

    env: Episodes

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def step(self, key: Key[Array, ""], state: Episode, action: PyTree[Array]) -> tuple[Episode, TimeStep]:
        _, k_step, k_obs = jax.random.split(key, 3)
        over = state.ended
        moved, reward, discount = self.env._move(k_step, state, action)
        state = choose(over, state, moved)
        reward, discount = jnp.where(over, 0.0, reward), jnp.where(over, 1.0, discount)
        return self.env._say(k_obs, state, reward, discount, jnp.array(False))
