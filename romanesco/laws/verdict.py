"""How a law says no: an AssertionError that names what is violated, raised, so that `-O` cannot drop it."""

from typing import Any

import jax
import numpy as np


def require(condition: Any, message: str) -> None:
    """Raises AssertionError(message) unless `condition`."""
    if not condition:
        raise AssertionError(message)


def _plain(x: Any) -> np.ndarray:
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)


def close(got: Any, want: Any, *, atol: float = 1e-5, rtol: float = 1e-4, what: str) -> None:
    """Raises unless two pytrees have one structure and their leaves agree; the message names path and distance.

    Integers and booleans must be equal; NaN equals NaN.
    """
    got_leaves, want_leaves = (jax.tree_util.tree_leaves_with_path(x) for x in (got, want))
    require(len(got_leaves) == len(want_leaves), f"{what}: {len(got_leaves)} leaves, wanted {len(want_leaves)}")
    for (path, a), (_, b) in zip(got_leaves, want_leaves, strict=True):
        a, b, where = _plain(a), _plain(b), f"{what}{jax.tree_util.keystr(path)}"
        require(a.shape == b.shape, f"{where}: shape {a.shape}, wanted {b.shape}")
        if a.dtype.kind in "fc":
            far = np.abs(a - b) > atol + rtol * np.abs(b)
            wrong = np.where(np.isnan(a) | np.isnan(b), np.isnan(a) != np.isnan(b), far)
        else:
            wrong = a != b
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim else ()
            raise AssertionError(
                f"{where}: {int(wrong.sum())} of {wrong.size} differ, first at {at}: {a[at]} != {b[at]}"
            )
