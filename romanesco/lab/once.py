"""Runs that are trained once: under the same name, what is finished stays and what was interrupted goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.lab import files, jobs, run, store
from romanesco.lab.build import Objects
from romanesco.lab.config import Config


def trained(config: Config, *, watched: Callable[[], AbstractContextManager], **told: Any) -> Path:
    """The finished run of a configuration that has a name; `watched()` is the view of one training.

    Raises `BadInput` where a run of this name has other settings.
    """
    assert config.name
    path = store.runs_root(config.root).joinpath(*run.names(config, Objects()), config.name)
    if not (path / "groups.json").exists():
        with watched() as view:
            return jobs.start(config, view=view, **told)
    saved = files.from_yaml((path / store.CONFIG).read_text(encoding="utf-8"), str(path / store.CONFIG))
    if saved != config:
        raise BadInput(f"{path}: is a run of other settings; give another --name, or the settings that it has")
    if (store.RunFolder(path).read_json("status.json") or {}).get("status") == "finished":
        return path
    with watched() as view:
        return jobs.resume(path, config, view=view, **told)
