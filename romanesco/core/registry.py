"""Names of things that are imported when they are first used; needs no JAX."""

import functools
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

from romanesco.core.errors import BadInput, among


class Registry(Mapping[str, Any]):
    """A mapping name -> object that holds `module:attribute` strings and imports at `registry[name]`.

    Installed packages join through the entry-point group `romanesco.<kind>s`. An unknown name raises `BadInput`
    with the nearest match; `name in registry`, `len` and iteration import nothing.
    """

    def __init__(self, kind: str, targets: dict[str, str]):
        self.kind = kind
        self._own = targets

    @functools.cached_property
    def targets(self) -> dict[str, str]:
        """name -> `module:attribute`, plug-ins included; our own names win."""
        group = "romanesco." + (self.kind[:-1] + "ies" if self.kind.endswith("y") else self.kind + "s")
        plugins = {point.name: point.value for point in importlib.metadata.entry_points(group=group)}
        return {**plugins, **self._own}

    def __getitem__(self, name: str) -> Any:
        if name not in self.targets:
            raise BadInput(f"unknown {self.kind} `{name}`{among(name, self.targets)}")
        module, _, attribute = self.targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self.targets

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)
