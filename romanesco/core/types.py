"""The words every other file speaks. T time, B parallel streams, A actions, D features."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.core.actions import Distribution
from romanesco.core.spaces import Param, Space
from romanesco.core.values import Point

Carry = PyTree[Array]  # what a memory keeps between two steps; one stream, no batch axis
EnvState = PyTree[Array]


class TimeStep(eqx.Module):
    """What an environment says. Next-step autoreset: the step after a `last` is a `first`."""

    obs: PyTree[Array]
    reward: Float[Array, "*n"]  # received on arriving here; 0 where `first`
    discount: Float[Array, "*n"]  # 0 where terminated, else 1: a truncation keeps 1
    first: Bool[Array, "*n"]  # an episode starts here: a memory forgets before it reads
    last: Bool[Array, "*n"]  # an episode ends here: the action taken here is ignored


@runtime_checkable
class Env(Protocol):
    """A pure environment, one stream; batch it with `jax.vmap`. It is a pytree and travels as an argument of
    jitted functions. Optional: `render(state) -> UInt8[H W 3]`, `refresh(key) -> Env`, `model()`."""

    observation_space: Space
    action_space: Space
    max_steps: int | None
    threshold: float | None  # mean return that counts as solved
    params: dict[str, Param]
    feature_names: tuple[str, ...] | None  # of the numbers of an observation; a dict's in the order of its keys

    def reset(self, key: Key[Array, ""]) -> tuple[EnvState, TimeStep]: ...

    def step(self, key: Key[Array, ""], state: EnvState, action: PyTree[Array]) -> tuple[EnvState, TimeStep]: ...

    def metrics(self, state: EnvState) -> dict[str, Float[Array, ""]]:
        """Read where `last`; always the raw `return` and `length` of the episode."""
        ...


@runtime_checkable
class HostEnv(Protocol):
    """B streams whose state lies outside the program, in next-step autoreset; answers are NumPy arrays.

    `key` holds one key a stream: `reset` seeds from them, `step` uses them where chance comes from outside.
    """

    num_envs: int
    observation_space: Space  # of one stream
    action_space: Space

    def reset(self, key: Key[Array, "B"]) -> TimeStep: ...

    def step(self, key: Key[Array, "B"], action: PyTree[Any]) -> TimeStep: ...

    def metrics(self) -> dict[str, Any]:
        """[B] each, read where `last`; always the raw `return` and `length` of the episode."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Memory(Protocol):
    """What an agent keeps of the past. Law M1: `sequence` equals `step` repeated."""

    def init_carry(self) -> Carry: ...

    def step(self, carry: Carry, x: PyTree[Array], first: Bool[Array, ""]) -> tuple[Carry, Float[Array, "D"]]: ...

    def sequence(
        self, carry: Carry, xs: PyTree[Array], first: Bool[Array, "T"]
    ) -> tuple[Carry, Float[Array, "T D"]]: ...


class Output(eqx.Module):
    """What an agent says about an observation, or about a sequence of them."""

    dist: Distribution
    value: Point  # its mean is the V that advantages use
    y: Float[Array, "*n D"]  # what the heads read


class Actor(Protocol):
    """What collectors, learners and evaluation need of an agent: the Agent itself, or one wrapped."""

    def init_carry(self) -> Carry: ...

    def step(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, ""]) -> tuple[Carry, Output]: ...

    def sequence(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T"]) -> tuple[Carry, Output]: ...


class Rollout(eqx.Module):
    """T steps of B streams and the step they end on: all that a learner ever sees."""

    steps: TimeStep  # [T+1 B ...]
    action: PyTree[Array]  # [T B ...] as sampled; what the world received may be clipped
    log_prob: Float[Array, "T B"]  # of `action`, under the policy that acted
    value: Float[Array, "T+1 B"]  # of the policy that acted
    carry: Carry  # [B ...] the memory before steps[0]


Metrics = dict[str, Any]
