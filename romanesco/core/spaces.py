"""What an observation or an action may be; needs no JAX.

A space is a `Discrete`, a `MultiDiscrete`, a `Box`, or a dict or tuple of spaces.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Discrete:
    """The integers start, ..., start + n - 1."""

    n: int
    start: int = 0
    shape: tuple[int, ...] = field(default=(), init=False)
    dtype: np.dtype = field(default=np.dtype(np.int32), init=False)

    def contains(self, x: Any) -> bool:
        x = np.asarray(x)
        return x.shape == () and x.dtype.kind in "iu" and self.start <= int(x) < self.start + self.n


@dataclass(frozen=True)
class MultiDiscrete:
    """Integer arrays with 0 <= x < nvec, of any shape, row-major. MultiBinary is one of twos."""

    nvec: tuple  # nested tuples of ints, e.g. (3, 2) or ((2, 3), (4, 2)); lists and arrays are accepted
    dtype: np.dtype = field(default=np.dtype(np.int32), init=False)

    def __post_init__(self):
        def freeze(x):
            return tuple(freeze(y) for y in x) if isinstance(x, list) else int(x)

        object.__setattr__(self, "nvec", freeze(np.asarray(self.nvec).tolist()))

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.nvec)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of choices of each component, row-major."""
        return tuple(int(n) for n in np.ravel(self.nvec))

    def contains(self, x: Any) -> bool:
        x = np.asarray(x)
        return x.shape == self.shape and x.dtype.kind in "iu" and bool(np.all((x >= 0) & (x < np.asarray(self.nvec))))


@dataclass(frozen=True, eq=False)
class Box:
    """Arrays of one shape and dtype between `low` and `high`, which are numbers or arrays that broadcast to `shape`."""

    shape: tuple[int, ...] = ()
    dtype: Any = np.float32
    low: Any = -np.inf
    high: Any = np.inf

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """-> low, high, each of the space's shape and dtype."""
        return tuple(np.broadcast_to(np.asarray(b, self.dtype), self.shape) for b in (self.low, self.high))  # type: ignore[return-value]

    def _key(self):
        return self.shape, self.dtype, *(b.tobytes() for b in self.bounds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def contains(self, x: Any) -> bool:
        x = np.asarray(x)
        low, high = self.bounds
        return x.shape == self.shape and x.dtype == self.dtype and bool(np.all((x >= low) & (x <= high)))


Space = Discrete | MultiDiscrete | Box | dict | tuple


class _Frozen(dict):
    """A dict of spaces that can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def frozen(space: Space) -> Space:
    """The same space, hashable: what a module may hold as a static field."""
    if isinstance(space, dict):
        return _Frozen({k: frozen(s) for k, s in space.items()})
    return tuple(map(frozen, space)) if isinstance(space, tuple) else space


def leaves(space: Space) -> list[Discrete | MultiDiscrete | Box]:
    """The spaces of which a tree is made, in JAX's order: dicts sorted by key."""
    if isinstance(space, dict):
        return [leaf for key in sorted(space) for leaf in leaves(space[key])]
    return [leaf for part in space for leaf in leaves(part)] if isinstance(space, tuple) else [space]


def in_form(space: Space, values: Iterable[Any]) -> Any:
    """One value for each of the `leaves`, in the form of the space: dicts, tuples, or the value itself."""
    rest = iter(values)

    def form(space: Space) -> Any:
        if isinstance(space, dict):
            return {key: form(space[key]) for key in sorted(space)}
        return tuple(map(form, space)) if isinstance(space, tuple) else next(rest)

    return form(space)


@dataclass(frozen=True)
class Param:
    """A physical number of an environment: its default and the range in which it makes sense."""

    default: float
    low: float
    high: float


def contains(space: Space, x: Any) -> bool:
    """Whether `x` belongs to `space`, trees included."""
    if isinstance(space, dict):
        return isinstance(x, dict) and x.keys() == space.keys() and all(contains(s, x[k]) for k, s in space.items())
    if isinstance(space, tuple):
        return isinstance(x, tuple) and len(x) == len(space) and all(map(contains, space, x))
    return space.contains(x)


def describe(space: Space) -> str:
    """-> one short phrase for tables and messages."""
    match space:
        case dict():
            return "{" + ", ".join(f"{k}: {describe(s)}" for k, s in space.items()) + "}"
        case tuple():
            return "(" + ", ".join(map(describe, space)) + ")"
        case Discrete():
            return f"Discrete({space.n})" if space.start == 0 else f"Discrete({space.n}, start={space.start})"
        case MultiDiscrete():
            return f"MultiDiscrete({space.nvec})"
        case _:
            return f"Box{space.shape} {space.dtype}"


def to_json(space: Space) -> dict[str, Any]:
    """A space as plain data; bounds that are one number are written as one, infinite ones as text."""
    match space:
        case dict():
            return {"dict": {k: to_json(s) for k, s in space.items()}}
        case tuple():
            return {"tuple": [to_json(s) for s in space]}
        case Discrete():
            return {"discrete": space.n, "start": space.start}
        case MultiDiscrete():
            return {"multidiscrete": np.asarray(space.nvec).tolist()}
    bounds = {name: _bound(x) for name, x in zip(("low", "high"), space.bounds, strict=True)}
    return {"box": list(space.shape), "dtype": str(space.dtype), **bounds}


def _bound(x: np.ndarray) -> Any:
    if x.size and np.all(x == x.flat[0]):
        x = x.reshape(-1)[0]
    return _texts(x.tolist())


def _texts(x: Any) -> Any:
    return [_texts(y) for y in x] if isinstance(x, list) else x if np.isfinite(x) else str(x)


def from_json(data: Any) -> Space:
    """The space that `to_json` wrote; anything else raises `ValueError`."""
    match data:
        case {"dict": dict(spaces)}:
            return {k: from_json(s) for k, s in spaces.items()}
        case {"tuple": list(spaces)}:
            return tuple(map(from_json, spaces))
        case {"discrete": int(n), "start": int(start)}:
            return Discrete(n, start)
        case {"multidiscrete": nvec}:
            return MultiDiscrete(nvec)
        case {"box": shape, "dtype": dtype, "low": low, "high": high}:
            return Box(tuple(shape), dtype, *(np.asarray(b, np.float64).astype(dtype) for b in (low, high)))
    raise ValueError(f"not a space: {data!r}")
