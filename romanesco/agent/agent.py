"""An actor and a critic that share an encoder and a memory."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.core.actions import distribution, head_sizes
from romanesco.core.layers import MLP
from romanesco.core.spaces import Space, frozen, in_form, leaves
from romanesco.core.types import Carry, Memory, Output
from romanesco.core.values import Point

ALLOWED = "allowed"  # the reserved entry of an observation: Bool[A], which actions exist now


def seen(space: Space) -> Space:
    """What an encoder sees of an observation space: all but `allowed`; a dict left with one entry is that entry."""
    if not (isinstance(space, dict) and ALLOWED in space):
        return space
    rest = {k: s for k, s in space.items() if k != ALLOWED}
    return next(iter(rest.values())) if len(rest) == 1 else rest


def _split(obs: PyTree[Array]) -> tuple[PyTree[Array], Bool[Array, "*n A"] | None]:
    if not (isinstance(obs, dict) and ALLOWED in obs):
        return obs, None
    return seen(obs), obs[ALLOWED]  # type: ignore[return-value]


class Agent(eqx.Module):
    """Encoder, memory, actor and critic. T time, D features; one stream, `vmap` for more.

    A Box has a Gaussian of M numbers whose `log_std` no observation changes; other actions have logits, and where an
    observation carries `allowed`, a forbidden action has probability 0. The parts of a dict or tuple are independent.
    """

    encoder: Callable[[PyTree[Array]], Float[Array, "D"]]
    memory: Memory
    actor: MLP
    critic: MLP
    log_std: Float[Array, "M"] | None
    action_space: Space = eqx.field(static=True)

    def __init__(
        self,
        encoder: Callable,
        memory: Memory,
        action_space: Space,
        *,
        size: int,
        actor_hidden: Sequence[int] = (),
        critic_hidden: Sequence[int] = (),
        act: str = "tanh",
        head_gain: float = 0.01,
        log_std: float = 0.0,
        key: Key[Array, ""],
    ):
        """`size` is the width of the memory's output, which both heads read."""
        k_actor, k_critic = jax.random.split(key)
        logits, means = head_sizes(action_space)
        self.encoder, self.memory, self.action_space = encoder, memory, frozen(action_space)
        self.actor = MLP(size, actor_hidden, act=act, out=logits + means, gain=head_gain, key=k_actor)
        self.critic = MLP(size, critic_hidden, act=act, out=1, gain=1.0, key=k_critic)
        self.log_std = jnp.full(means, log_std, jnp.float32) if means else None

    def init_carry(self) -> Carry:
        return self.memory.init_carry()

    def _speak(self, y: Float[Array, "D"], allowed: Bool[Array, "A"] | None) -> Output:
        return Output(
            distribution(self.action_space, self.actor(y), self.log_std, allowed), Point(self.critic(y)[..., 0]), y
        )

    def step(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, ""]) -> tuple[Carry, Output]:
        obs, allowed = _split(obs)
        carry, y = self.memory.step(carry, self.encoder(obs), first)
        return carry, self._speak(y, allowed)

    def sequence(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T"]) -> tuple[Carry, Output]:
        obs, allowed = _split(obs)
        carry, ys = self.memory.sequence(carry, jax.vmap(self.encoder)(obs), first)
        return carry, jax.vmap(self._speak)(ys, allowed)

    def explain(
        self, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T"]
    ) -> tuple[Carry, Output, dict[str, Array]]:
        """What `sequence` returns, and what encoder and memory show where they attend: `encoder/NAME` [T L H Nq Nk],
        `memory/NAME` [L H T T]; a memory's maps of tokens are `memory/glimpse` and `memory/pool` [T 1 H 1 N]."""
        seen, allowed = _split(obs)
        looks, recalls = (getattr(part, "explain", None) for part in (self.encoder, self.memory))
        xs, looked = jax.vmap(looks or (lambda obs: (self.encoder(obs), {})))(seen)
        carry, ys, *recalled = (recalls or self.memory.sequence)(carry, xs, first)
        maps = {f"encoder/{name}": weights for name, weights in looked.items()}
        maps |= {f"memory/{name}": weights for told in recalled for name, weights in told.items()}
        return carry, jax.vmap(self._speak)(ys, allowed), maps


def blank(space: Space) -> PyTree[jax.ShapeDtypeStruct]:
    """The shapes and dtypes of an observation of `space`."""
    return in_form(space, [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves(space)])


def build(
    key: Key[Array, ""],
    observation_space: Space,
    action_space: Space,
    *,
    encoder: Callable,
    memory: Callable,
    **heads,
) -> Agent:
    """An agent for these spaces, from `encoder(space, key=)` and `memory(size, key=)`; `heads` goes to `Agent`.

    `size` is the width of the encoder's vector, or of the tokens that it hands over."""
    k_encoder, k_memory, k_heads = jax.random.split(key, 3)
    space = seen(observation_space)
    eye = encoder(space, key=k_encoder)
    x = jax.eval_shape(eye, blank(space))
    cell = memory(jax.tree.leaves(x)[0].shape[-1], key=k_memory)
    first = jax.ShapeDtypeStruct((), bool)
    _, y = jax.eval_shape(lambda x, first: cell.step(cell.init_carry(), x, first), x, first)
    return Agent(eye, cell, action_space, size=y.shape[-1], key=k_heads, **heads)
