"""The agents of a run as arrays by path. Nothing is built to read them: no environment, no object, no program."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from romanesco.core.errors import BadInput
from romanesco.lab import store
from romanesco.lab.arrays import differences

SEEDS = "seeds"  # the folder in which a run on the host keeps a run for each seed
NAME = re.compile(r"\[(\d+)\](?:\.learner)?\.((?:agent|normalizer)\b.*)")  # [seed's place].learner.agent.encoder...
DTYPES = {
    "BOOL": "bool", "BF16": "bfloat16", **{f"F{n}": f"float{n}" for n in (16, 32, 64)},
    **{f"I{n}": f"int{n}" for n in (8, 16, 32, 64)}, **{f"U{n}": f"uint{n}" for n in (8, 16, 32, 64)},
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """One seed's agent and normalizer, arrays by path (`agent.encoder...`), and the step they are of."""

    seed: int
    step: int | None
    arrays: Mapping[str, np.ndarray]

    @property
    def sha256(self) -> str:
        """Of names, types, shapes and bytes, in the order of names."""
        digest = hashlib.sha256()
        for name, x in sorted(self.arrays.items()):
            digest.update(f"{name} {x.dtype.name} {x.shape}\n".encode() + x.tobytes())
        return digest.hexdigest()


def tensors(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; raises `ValueError` where it is none."""
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    wrong = [entry["dtype"] for _, entry in entries if entry["dtype"] not in DTYPES]
    if wrong:
        raise ValueError(f"dtype {wrong[0]} is not known")
    return {
        name: np.frombuffer(entry["data"], np.dtype(DTYPES[entry["dtype"]])).reshape(entry["shape"])
        for name, entry in entries
    }


def groups_of(path: Path) -> Sequence[dict[str, Any]]:
    """The groups of seeds that a run trains together: name and seeds of each."""
    known = store.RunFolder(path).read_json("groups.json")
    if known is None:
        raise BadInput(f"{path}: no checkpoint was saved yet")
    return known["groups"]


def of_run(path: Path, checkpoint: str | int = "latest") -> tuple[dict[int, Weights], list[str]]:
    """Every seed's weights in `checkpoint` ("latest", "best" or a step) -> by seed, and notes on damaged checkpoints.

    Raises `BadInput` where nothing sound was saved.
    """
    found: dict[int, Weights] = {}
    notes: list[str] = []
    children = sorted(p.parent for p in (path / SEEDS).glob("*/groups.json"))
    if children:
        for child in children:
            more, said = of_run(child, checkpoint)
            found, notes = found | more, notes + said
        return dict(sorted(found.items())), notes
    for group in groups_of(path):
        name = group["name"]
        if name is not None and not store.steps(path, group=name):
            continue  # a further group that has not saved yet
        data, counters, _, folder, said = store.read(path, checkpoint=checkpoint, mark=False, group=name)
        notes += said
        arrays: list[dict[str, np.ndarray]] = [{} for _ in group["seeds"]]
        for full, x in tensors(data).items():
            if match := NAME.fullmatch(full):
                arrays[int(match[1])][match[2]] = x
        for seed, mine in zip(group["seeds"], arrays, strict=True):
            step = int(folder.name) if folder.name.isdigit() else counters.get("step", {}).get(str(seed))
            found[seed] = Weights(seed, step, mine)
    return found, notes


def unfit(arrays: Mapping[str, np.ndarray], like: Any) -> list[str]:
    """What keeps these arrays from filling the tree `like`, one sentence a path."""
    return differences({f".{k}": {"shape": list(x.shape), "dtype": x.dtype.name} for k, x in arrays.items()}, like)


def fill(arrays: Mapping[str, np.ndarray], like: Any) -> Any:
    """The tree `like` with these arrays, in fresh buffers; they must fit."""
    one = lambda path, leaf: jnp.array(arrays[jax.tree_util.keystr(path).removeprefix(".")], copy=True)
    return jax.tree_util.tree_map_with_path(one, like)
