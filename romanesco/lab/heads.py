"""One head removed at a time: how a trained agent does without it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from romanesco.core.attention import Pool


def silenced(actor: Any) -> dict[str, Any]:
    """Where each head of encoder and memory stands -> the actor in which it reads nothing, all else as trained."""
    found, structure = jax.tree_util.tree_flatten_with_path(actor, is_leaf=_attends)
    made = {}
    for i, (path, part) in enumerate(found):
        where = jax.tree_util.keystr(path).removeprefix(".agent").removeprefix(".")
        for head in range(part.heads if _attends(part) else 0):
            parts = [leaf if j != i else _without(part, head) for j, (_, leaf) in enumerate(found)]
            made[f"{where} head {head + 1}"] = structure.unflatten(parts)
    return made


def _attends(part: Any) -> bool:
    """What its heads read goes through `leave`, or is the vector itself."""
    return (
        isinstance(part, eqx.Module) and hasattr(part, "heads") and (hasattr(part, "leave") or isinstance(part, Pool))
    )


def _without(part: Any, head: int) -> Any:
    if isinstance(part, Pool):
        value: Any = part.value
        rows = _rows(len(value.weight), part.heads, head)
        weight, bias = (x.at[rows].set(0) for x in (value.weight, value.bias))
        return eqx.tree_at(lambda p: (p.value.weight, p.value.bias), part, (weight, bias))
    columns = _rows(part.leave.weight.shape[1], part.heads, head)
    return eqx.tree_at(lambda p: p.leave.weight, part, part.leave.weight.at[:, columns].set(0))


def _rows(size: int, heads: int, head: int) -> slice:
    return slice(head * size // heads, (head + 1) * size // heads)
