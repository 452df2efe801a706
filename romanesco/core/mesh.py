"""Seeds side by side: over accelerators, or over the cores of one CPU device."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


def deal(trees: Sequence[PyTree], devices: Sequence[Any]) -> list[PyTree]:
    """One tree a seed, dealt out to the devices in turn, and committed there."""
    return [jax.device_put(tree, devices[i % len(devices)]) for i, tree in enumerate(trees)]


def on(device: Any, shapes: PyTree[jax.ShapeDtypeStruct]) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes of arrays that will lie on a device: what `Seeds.compile` can work with before the arrays exist."""
    place = jax.sharding.SingleDeviceSharding(device)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes)


def _device(args: Any) -> Any:
    leaf = next(x for x in jax.tree.leaves(args) if isinstance(x, jax.Array | jax.ShapeDtypeStruct))
    return next(iter(leaf.sharding.device_set))  # type: ignore[union-attr]


class Seeds:
    """`one(*args, *shared)` of one seed, as a function of lists over seeds and of what they share.

    On a CPU the program has no seed axis and is called once a seed: batched by `vmap`, small matmuls get slower and
    bits change. Calls from several threads, the `workers`, run side by side, so that a program that is compiled once
    keeps all cores busy, and a seed cannot know its companions. On an accelerator (`batched`) the seeds are one vmapped
    axis. Arguments in `donate` are used up.
    """

    def __init__(
        self, one: Callable, *, donate: tuple[int, ...] = (), batched: bool = False,
        workers: concurrent.futures.Executor | None = None,
    ):  # fmt: skip
        self.donate, self.batched = donate, batched
        self._one, self._workers = one, workers
        self._programs: dict[Any, concurrent.futures.Future] = {}

    def _lowered(self, args: Sequence[Any], shared: Sequence[Any]) -> Any:
        axes = (0,) * len(args) + (None,) * len(shared)
        many = jax.vmap(self._one, in_axes=axes) if self.batched else self._one
        return jax.jit(many, donate_argnums=self.donate).lower(*args, *shared)

    def _calls(self, lists: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        if not self.batched:
            return list(zip(*lists, strict=True))
        return [tuple(jax.tree.map(_stack, *trees) for trees in lists)]

    def compile(self, pool: concurrent.futures.Executor, *lists: Sequence[Any], shared: Sequence[Any] = ()) -> None:
        """Traces now and compiles in `pool`, once for every device that has not been met."""
        for args in self._calls(lists):
            if _device(args) not in self._programs:
                self._programs[_device(args)] = pool.submit(self._lowered(args, _numbers(shared)).compile)

    def ready(self) -> None:
        """Waits until all is compiled."""
        for program in self._programs.values():
            program.result()

    def __call__(self, *lists: Sequence[Any], shared: Sequence[Any] = ()) -> list[Any]:
        """-> one result a seed. Arguments must have the shapes and devices given to `compile`."""
        told = _numbers(shared)
        call = lambda args: self._programs[_device(args)].result()(*args, *told)
        if self._workers is None:
            results = [call(args) for args in self._calls(lists)]
        else:
            results = list(self._workers.map(lambda args: jax.block_until_ready(call(args)), self._calls(lists)))
        if not self.batched:
            return results
        return [jax.tree.map(lambda x, i=i: x[i], results[0]) for i in range(len(lists[0]))]


def _numbers(shared: Sequence[Any]) -> list[Any]:
    """Integers and truths in types of their own: a worker does not know what precision this thread is set to."""
    return [np.bool_(x) if isinstance(x, bool) else np.int32(x) for x in shared]


def _stack(*leaves: Any) -> Any:
    if isinstance(leaves[0], jax.ShapeDtypeStruct):
        shape, place = (len(leaves), *leaves[0].shape), leaves[0].sharding
        return jax.ShapeDtypeStruct(shape, leaves[0].dtype, sharding=place)
    return jnp.stack(leaves)
