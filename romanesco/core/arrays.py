"""What the leaves of a module may be."""

from typing import Any

import equinox as eqx
import jax

from romanesco.core.errors import BadInput


def only_arrays(module: Any, what: str) -> Any:
    """`module`, whose leaves must all be arrays: anything else would be traced, or compared, as a number."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(module):
        if not eqx.is_array(leaf):
            where = f"{type(module).__name__}{jax.tree_util.keystr(path)}"
            raise BadInput(
                f"{what}: {where} is {leaf!r}, not an array; declare it `eqx.field(static=True)` or make it one"
            )
    return module
