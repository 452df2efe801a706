"""What an agent attends to over recorded episodes. T time, B streams, L layers, H heads, Nq queries, Nk tokens."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from romanesco.agent.encoders.cross import CrossTokens
from romanesco.core.actions import Distribution
from romanesco.core.tokens import EntityTokens, FeatureTokens, FrameTokens, PatchTokens
from romanesco.core.types import Carry, Output

OVER_TOKENS = ("memory/glimpse", "memory/pool")  # maps of a memory whose rows are read at one step


def maps(actor: Any, carry: Carry, obs: PyTree[Array], first: Bool[Array, "T B"]) -> dict[str, Array]:
    """The weights with which an agent, or a normalized one, reads observations [T B ...], from the memories `carry`
    [B ...] on.

    `encoder/NAME` and a memory's maps of tokens are [T B L H Nq Nk]; their rows sum to 1, or to 0 where nothing may be
    read. `memory/attention` [B L H T T] and `memory/before` [B L H T], what went to steps before these, sum to 1;
    `memory/signed` [B L H T T] are the weights of a linear memory, of any sign and sum, and `memory/before` is then
    the carry's share of the read-out. `memory/values` and `memory/read` [B L H T d] are what a memory's weights weigh
    and what they give. Nothing, where nothing attends.
    """
    told = jax.vmap(lambda *stream: actor.explain(*stream)[2], (0, 1, 1))(carry, obs, first)
    return {name: _arranged(name, x) for name, x in told.items()}


def _arranged(name: str, x: Array) -> Array:
    """[B T L H Nq Nk] -> [T B L H Nq Nk]; and a layer's axis for a memory that is one cell."""
    if name.startswith("encoder/") or name in OVER_TOKENS:
        return x.swapaxes(0, 1)
    stacked = x.ndim == (4 if name == "memory/before" else 5)
    return x if stacked else x[:, None]


def token_names(encoder: Any, features: Sequence[str] | None = None) -> list[str]:
    """What an encoder's tokens are of, in their order; `features` names the numbers of a vector, or of the vectors of
    a dict one after the other. Empty, where it has none."""
    return _names(getattr(encoder, "tokens", None), features)


def _names(tokens: Any, features: Sequence[str] | None) -> list[str]:
    match tokens:
        case FeatureTokens():
            known = features if features and len(features) == tokens.features else range(tokens.features)
            return ["+".join(str(known[i]) for i in group) for group in tokens.groups]
        case FrameTokens():
            return [f"t-{tokens.count - 1 - i}" if i < tokens.count - 1 else "t" for i in range(tokens.count)]
        case PatchTokens():
            return [f"{row},{column}" for row in range(len(tokens.row)) for column in range(len(tokens.column))]
        case EntityTokens():
            return [*map(str, range(tokens.shape[0])), *["self"] * (tokens.own is not None)]
        case CrossTokens():
            parts = sorted(tokens.parts.items())
            sizes = [getattr(part, "features", 0) for _, part in parts]
            left = iter(features if features and len(features) == sum(sizes) else ())
            known = [list(islice(left, size)) for size in sizes]
            return [f"{name} {x}".rstrip() for (name, part), of in zip(parts, known, strict=True)
                    for x in _names(part, of) or [""]]  # fmt: skip
    return []


class _Sure(eqx.Module):
    """A distribution of which the likeliest action is drawn."""

    dist: Distribution

    def sample(self, key: Key[Array, ""]) -> Array:
        del key
        return self.dist.mode()

    def log_prob(self, action: Array) -> Float[Array, ""]:
        return jnp.zeros_like(self.dist.log_prob(action))


class Greedy(eqx.Module):
    """An actor that takes the likeliest action where it is asked for a sample: for collectors."""

    actor: Any

    def init_carry(self) -> Carry:
        return self.actor.init_carry()

    def step(self, carry: Carry, obs: PyTree[Array], first: Bool[Array, ""]) -> tuple[Carry, Output]:
        carry, said = self.actor.step(carry, obs, first)
        return carry, Output(_Sure(said.dist), said.value, said.y)  # type: ignore[arg-type]
