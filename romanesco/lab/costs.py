"""What a memory costs, and how much its state can hold: `romanesco list memories --costs`."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from romanesco.agent.agent import seen
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Space, in_form, leaves
from romanesco.core.types import Env
from romanesco.envs.world import World
from romanesco.lab.build import Objects, agent_maker, environment
from romanesco.lab.compose import resolve
from romanesco.lab.config import Config
from romanesco.lab.files import presets
from romanesco.memory.basis import channel_rank

STREAMS, STEPS, REPEATS = 8, 256, 5
INPUTS = 256  # steps after which the state is looked at


@dataclass(frozen=True)
class Cost:
    """One model. Its encoder is part of it, heads are not."""

    name: str
    parameters: int
    state: int  # floats of one stream
    mflop: float | None  # of one step, acting, by XLA's count
    acting_ms: float  # a step of 8 streams
    learning_ms: float  # forward and backward, 8 streams x 256 steps
    channels: str  # "rank/asked"; empty for memories without channels
    effective_rank: float | None  # of the matrix state after 256 normal inputs, median over heads
    full_rank: int | None
    flag: str = ""


COLUMNS = ("model", "parameters", "state", "MFLOP/step", "acting ms", "learning ms", "channels", "effective rank", "")


def models() -> list[str]:
    """The T-Maze's presets: one of each memory at its published size, or ours."""
    return [name for name in presets() if name.startswith("tmaze/")]


def costs(names: Sequence[str], overrides: Sequence[str] = ()) -> Iterator[Cost]:
    """Builds and measures one model after another, equal ones once; `memory.*` overrides apply where the memory has
    the key."""
    foreign = [word for word in overrides if not word.startswith("memory.")]
    if foreign:
        raise BadInput(f"--costs: `{foreign[0]}` is no setting of a memory; give memory.KEY=VALUE")
    configs = {name: _overridden(name, overrides) for name in names}
    unused = [word for word in overrides if all(word not in taken for _, taken in configs.values())]
    if unused:
        raise BadInput(f"--costs: no memory has `{unused[0].partition('=')[0]}`")
    alike: list[tuple[Config, list[str]]] = []
    for name, (config, _) in configs.items():
        same = [known for other, known in alike if (other.encoder, other.memory) == (config.encoder, config.memory)]
        same[0].append(name) if same else alike.append((config, [name]))
    for config, known in alike:
        yield cost(", ".join(name.removeprefix("tmaze/") for name in known), config)


def _overridden(name: str, overrides: Sequence[str]) -> tuple[Config, list[str]]:
    (plain,) = resolve(name, ["seeds=1"])
    taken = [word for word in overrides if hasattr(plain.memory, word.partition("=")[0].removeprefix("memory."))]
    return resolve(name, ["seeds=1", *taken])[0], taken


def cost(name: str, config: Config) -> Cost:
    """Builds the encoder and the memory of a configuration, compiles and measures them."""
    env = _world(config)
    agent = agent_maker(config, env, Objects())(jax.random.key(0))
    model = (agent.encoder, agent.memory)
    carry = agent.memory.init_carry()
    shown = functools.partial(_shown, seen(env.observation_space))
    new = jnp.array(False)
    program = jax.jit(_step).lower(model, carry, shown(), new).compile()
    counted = program.cost_analysis()
    flops = (counted[0] if isinstance(counted, list) else counted or {}).get("flops")
    rank, full = _rank(agent.memory)
    channels, flag = _channels(config.memory)
    return Cost(
        name,
        sum(x.size for x in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))),
        sum(x.size for x in jax.tree.leaves(carry) if jnp.issubdtype(x.dtype, jnp.inexact)),
        None if flops is None else flops / 1e6,
        _acting(model, carry, shown(STREAMS)),
        _learning(model, carry, shown(STEPS, STREAMS)),
        channels,
        rank,
        full,
        flag,
    )


def _world(config: Config) -> Env | World:
    """The world of a configuration; one on the host without its streams."""
    env = environment(config.env)
    if isinstance(env, World):
        env.streams(1).close()
    return env


def state(config: Config) -> int:
    """How many floats the memory of a configuration keeps of a stream. Nothing is computed."""
    env = _world(config)
    memory = jax.eval_shape(agent_maker(config, env, Objects()), jax.random.key(0)).memory
    carry = jax.eval_shape(lambda memory: getattr(memory, "memory", memory).init_carry(), memory)
    return sum(x.size for x in jax.tree.leaves(carry) if jnp.issubdtype(x.dtype, jnp.inexact))


def _shown(space: Space, *batch: int) -> PyTree[Array]:
    """Observations of a space, of no meaning."""
    draw = lambda leaf: jnp.abs(jax.random.normal(jax.random.key(1), (*batch, *leaf.shape))).astype(leaf.dtype)
    return in_form(space, map(draw, leaves(space)))


def _step(model: Any, carry: Any, obs: PyTree[Array], first: Array) -> tuple[Any, Array]:
    encoder, memory = model
    return memory.step(carry, encoder(obs), first)


def _acting(model: Any, carry: Any, obs: PyTree[Array]) -> float:
    """Milliseconds of a step of 8 streams; the carry is donated, as a collector does."""
    many = jax.tree.map(lambda x: jnp.array(jnp.broadcast_to(x, (STREAMS, *x.shape))), carry)
    first = jnp.zeros(STREAMS, bool)
    step = jax.jit(jax.vmap(_step, (None, 0, 0, 0)), donate_argnums=1)

    def one() -> None:
        nonlocal many
        for _ in range(16):
            many, _ = step(model, many, obs, first)
        jax.block_until_ready(many)

    return _milliseconds(one) / 16


def _learning(model: Any, carry: Any, obs: PyTree[Array]) -> float:
    """Milliseconds of a gradient through 8 streams of 256 steps."""
    first = jnp.zeros((STEPS, STREAMS), bool)
    many = jax.tree.map(lambda x: jnp.broadcast_to(x, (STREAMS, *x.shape)), carry)

    def loss(model):
        encoder, memory = model
        remember = jax.vmap(memory.sequence, (0, 1, 1), (0, 1))
        return remember(many, jax.vmap(jax.vmap(encoder))(obs), first)[1].sum()

    gradient = eqx.filter_jit(eqx.filter_grad(loss))
    return _milliseconds(lambda: jax.block_until_ready(gradient(model)))


def _milliseconds(act: Callable[[], Any]) -> float:
    act()  # compiles
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds)


def effective_rank(matrix: Float[np.ndarray, "*n m k"]) -> Float[np.ndarray, "*n"]:
    """exp of the entropy of the normalized singular values (Roy & Vetterli, 2007); 0 for a matrix of zeros."""
    values = np.linalg.svd(np.asarray(matrix, float), compute_uv=False)
    total = values.sum(-1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)


def _rank(memory: Any) -> tuple[float | None, int | None]:
    """The effective rank of the first layer's matrices, median over heads, and the most that it could be."""
    cell = memory.layers[0].cell if hasattr(memory, "layers") and hasattr(memory.layers[0], "cell") else memory
    if not hasattr(cell, "matrices"):
        return None, None
    xs = jax.random.normal(jax.random.key(3), (INPUTS, cell.size_out))
    carry, _ = eqx.filter_jit(cell.sequence)(cell.init_carry(), xs, jnp.zeros(INPUTS, bool))
    matrices = np.asarray(cell.matrices(carry))
    return float(np.median(effective_rank(matrices))), min(matrices.shape[-2:])


def _channels(memory: Any) -> tuple[str, str]:
    asked = getattr(memory, "channels", None)
    if asked is None:
        return "", ""
    rank = channel_rank(memory.basis, asked)
    alone = "values only" if memory.basis == "quadrature" else "rank 1"  # keys cancel in the quadrature basis alone
    return f"{rank}/{asked}", f"rank {rank}, {asked} asked for" if rank < asked else alone if rank == 1 else ""


def cells(found: Cost) -> list[str]:
    """A row of the table."""
    rank = "" if found.effective_rank is None else f"{found.effective_rank:.1f}/{found.full_rank}"
    flops = "" if found.mflop is None else f"{found.mflop:.2f}"
    counts = f"{found.parameters:,}", f"{found.state:,}"
    return [found.name, *counts, flops, f"{found.acting_ms:.2f}", f"{found.learning_ms:.0f}", found.channels, rank,
            found.flag]  # fmt: skip
