"""Seeds over devices: one program, called once a seed. S seeds, D devices."""

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import PyTree


def deal(states: Sequence[PyTree], devices: Sequence[Any]) -> list[PyTree]:
    """Seeds dealt out to the devices, in turn; committed there."""
    return [jax.device_put(state, devices[i % len(devices)]) for i, state in enumerate(states)]


def per_seed(one: Callable, *, donate: int | tuple[int, ...] = ()) -> Callable:
    """`one(*args)` of one seed -> a function of lists over seeds.

    The program has no seed axis: batched by `vmap`, small matmuls get slower on a CPU and bits change. Calls return
    at once, so devices work side by side, and a seed cannot know its companions. Each device compiles for itself,
    side by side too, the first time it is met.
    """
    program = jax.jit(one, donate_argnums=donate)
    met: dict[Any, Any] = {}

    def device_of(args: Sequence[Any]) -> Any:
        leaf = next(x for x in jax.tree.leaves(args) if isinstance(x, jax.Array))
        return next(iter(leaf.devices()))

    def many(*lists: Sequence[Any]) -> list[Any]:
        calls = list(zip(*lists, strict=True))
        new = {device_of(args): args for args in calls if device_of(args) not in met}
        if new:
            with concurrent.futures.ThreadPoolExecutor(len(new)) as pool:
                met.update(zip(new, pool.map(lambda args: program.lower(*args).compile(), new.values()), strict=True))
        return [met[device_of(args)](*args) for args in calls]

    return many
