"""Shared by the tests of the configuration."""

from pathlib import Path

import pytest

from romanesco.core.errors import BadInput
from romanesco.lab.compose import resolve

MLP, GRU = "cartpole/mlp", "cartpole/gru"


def one(*overrides, preset: str | None = MLP, **keywords):
    (config,) = resolve(preset, overrides, **keywords)
    return config


def refused(*overrides, preset: str | None = MLP, **keywords) -> str:
    with pytest.raises(BadInput) as caught:
        resolve(preset, overrides, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "my.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
