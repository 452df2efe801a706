"""The laws on anybody's memory, environment or collector: `romanesco check my_package:MyCell`."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from romanesco.core.arrays import only_arrays
from romanesco.core.errors import BadInput, nearest

SIZE = 16


def check(target: str, say: Callable[[str], Any]) -> int:
    """Runs every law that applies to `module:attribute`, one line a law -> how many are broken.

    The kind follows from what the object has: `sequence` makes it a memory, `reset` and `step` an environment (on the
    host, if it is no pytree, such as a Gymnasium one), a function that needs no argument makes one, and a function
    (key, env, actor, streams, horizon) is a collector. A memory is `X.example(key, T) -> (memory, xs)`, or a
    class made by `X(16, key=key)`.
    """
    kind, laws, subject = _case(target)
    say(f"{target} is {kind}")
    broken = 0
    for name, law in laws.items():
        began = time.monotonic()
        try:
            law(subject)
            verdict = "holds"
        except AssertionError as error:
            verdict, broken = f"BROKEN: {error}", broken + 1
        except Exception as error:
            verdict, broken = f"BROKEN: it raised {type(error).__name__}: {error}", broken + 1
        say(f"{name:4} {time.monotonic() - began:6.1f} s  {verdict}")
    return broken


def _case(target: str) -> tuple[str, dict[str, Callable], Any]:
    found = _import(target)
    if hasattr(found, "sequence"):
        from romanesco.laws import explain, memory

        shown = explain.LAWS if hasattr(found, "explain") else {}
        return "a memory", memory.LAWS | shown, _example(found, target)
    makes = inspect.isfunction(found) and not _needed(found)
    if makes or (hasattr(found, "reset") and hasattr(found, "step")):
        foreign = inspect.isclass(found) and not issubclass(found, eqx.Module)
        made = found() if makes or (inspect.isclass(found) and not foreign) else found
        what = "a function that makes an environment" if makes else "an environment"
        if isinstance(made, eqx.Module):
            from romanesco.laws import environment

            return what, environment.LAWS, made
        if hasattr(made, "step"):
            from romanesco.envs.gym import given
            from romanesco.laws import host

            make = lambda n, vectorization: given(found, num_envs=n, vectorization=vectorization)
            return f"{what} on the host", host.LAWS, make
    if inspect.isfunction(found) and len(_needed(found)) >= 5:
        from romanesco.laws import collector

        return "a collector", collector.LAWS, found
    raise BadInput(f"{target}: no memory (init_carry, step, sequence), environment (reset, step) or collector")


def _needed(function: Callable) -> list[str]:
    """Its parameters without a default."""
    return [name for name, p in inspect.signature(function).parameters.items() if p.default is p.empty]


def _import(target: str) -> Any:
    module, _, path = target.partition(":")
    if not path:
        raise BadInput(f"{target}: say MODULE:NAME, as in my_package.cells:MyCell")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # and stays: processes of environments import from there too
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"{target}: cannot import {module}: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise BadInput(f"{target}: {module} has no {part}{nearest(part, dir(found))}")
        found = getattr(found, part)
    return found


def _example(found: Any, target: str) -> Callable[..., Any]:
    """(key, T) -> a small memory and inputs for T steps."""
    if not hasattr(found, "example") and not inspect.isclass(found):
        raise BadInput(f"{target}: an instance without `example`; add `example(key, T) -> (memory, xs)`")
    make: Any = found
    normal = lambda key, T: (make(SIZE, key=key), jax.random.normal(jax.random.fold_in(key, 1), (T, SIZE)))
    example = getattr(found, "example", normal)
    try:
        memory, _ = example(jax.random.key(0), 1)
    except Exception as error:
        raise BadInput(
            f"{target}: none could be made, {type(error).__name__}: {error}; a memory is made by X({SIZE}, key=key), "
            "or by its own `example(key, T) -> (memory, xs)`"
        ) from error
    only_arrays(memory, target)
    return example
