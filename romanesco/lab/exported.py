"""A policy as a folder of its own, which neither its run nor its world is needed to load.

`policy.safetensors` holds the parameters and the normalizer, `config.json` what they were made with (`words.Export`),
`results.json` the scores of its run, `README.md` may be a model card. Nothing else may lie there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import stat
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

import romanesco
from romanesco.core.errors import BadInput
from romanesco.lab.disk import replace_folder
from romanesco.lab.store import ABOUT, POLICY
from romanesco.lab.weights import Weights, tensors
from romanesco.lab.words import VERSION, Export

RESULTS, CARD = "results.json", "README.md"
FILES = (POLICY, ABOUT, RESULTS, CARD)
LARGEST_JSON = 10**6
LARGEST = 4 * 2**30
DEPTH = 20


def _spelled(value: Any) -> Any:
    """Plain data of which strict JSON can be made: infinities and NaN as texts."""
    if isinstance(value, dict):
        return {k: _spelled(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(x) for x in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def free(to: Path, *, force: bool = False) -> Path:
    """The absolute path of a folder that may be written; raises `BadInput` where something lies there.

    `force` allows an earlier export to be replaced, and nothing else.
    """
    to = Path(to).absolute()
    if not to.exists():
        return to
    if not to.is_dir():
        raise BadInput(f"--to {to}: is a file; name a folder that does not exist yet")
    inside = sorted(path.name for path in to.iterdir())
    if not inside:
        return to
    if foreign := [name for name in inside if name not in FILES]:
        raise BadInput(f"--to {to}: is not empty ({foreign[0]} lies there); name a folder that does not exist yet")
    if not force:
        raise BadInput(f"--to {to}: holds an export already; name another folder, or replace it with --force")
    return to


def write(
    to: Path, weights: Weights, *, config: dict[str, Any], observation_space: dict, action_space: dict,
    selected: str | None = None, results: bytes | None = None, card: str | None = None, force: bool = False,
) -> Export:  # fmt: skip
    """Writes one seed's policy as the folder `to`, whole or not at all. Raises `BadInput` where `to` is not free."""
    to = free(to, force=force)
    bad = [name for name, x in weights.arrays.items() if not _finite(x)]
    if bad:
        raise BadInput(f"seed {weights.seed}: {bad[0]} is not finite; export another checkpoint of it")
    data = safetensors.numpy.save({name: np.asarray(x, order="C") for name, x in sorted(weights.arrays.items())})
    about = Export(
        romanesco.__version__, weights.seed, weights.step, selected, hashlib.sha256(data).hexdigest(),
        observation_space, action_space, _spelled(config),
    )  # fmt: skip
    text = json.dumps(dataclasses.asdict(about), ensure_ascii=False, allow_nan=False, indent=1)
    files = {POLICY: data, ABOUT: (text + "\n").encode()}
    files |= {RESULTS: results} if results is not None else {}
    files |= {CARD: card.encode()} if card is not None else {}
    to.parent.mkdir(parents=True, exist_ok=True)
    replace_folder(to, files)
    return about


def _finite(x: np.ndarray) -> bool:
    return x.dtype.kind in "biu" or bool(np.isfinite(x.astype(np.float32)).all())


def read(path: Path) -> tuple[Export, Weights]:
    """What an export holds. Raises `BadInput` where it is damaged, foreign, or of a newer format."""
    about = read_about(path)
    if (size := (path / POLICY).stat().st_size) > LARGEST:
        raise BadInput(f"{path / POLICY}: {size:,} bytes; at most {LARGEST:,} are read")
    data = (path / POLICY).read_bytes()
    if hashlib.sha256(data).hexdigest() != about.sha256:
        raise BadInput(f"{path / POLICY}: does not match the SHA-256 in {ABOUT}; copy or export it again")
    try:
        arrays = tensors(data)
    except ValueError as error:
        raise BadInput(f"{path / POLICY}: is no safetensors file: {error}") from None
    bad = [name for name, x in arrays.items() if not _finite(x)]
    if bad:
        raise BadInput(f"{path / POLICY}: {bad[0]} is not finite")
    return about, Weights(about.seed, about.step, arrays)


def read_about(path: Path) -> Export:
    """config.json of an export whose folder holds regular, known files only."""
    inside = {entry.name: entry.lstat() for entry in path.iterdir()}
    for name, found in sorted(inside.items()):
        if name not in FILES:
            raise BadInput(f"{path}: unknown file {name}; an export holds {', '.join(FILES)} and nothing else")
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{path / name}: is a link or a folder; an export holds regular files only")
    for name in (POLICY, ABOUT):
        if name not in inside:
            raise BadInput(f"{path}: {name} is missing; export the policy again")
    if inside[ABOUT].st_size > LARGEST_JSON:
        raise BadInput(f"{path / ABOUT}: larger than {LARGEST_JSON:,} bytes, which no export's is")
    try:
        said = json.loads((path / ABOUT).read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path / ABOUT}: is no JSON: {error}") from None
    return _checked(said, path / ABOUT)


KINDS: dict[str, tuple[type, ...]] = {
    "romanesco": (str,), "seed": (int,), "step": (int, type(None)), "selected": (str, type(None)), "sha256": (str,),
    "observation_space": (dict,), "action_space": (dict,), "config": (dict,), "version": (int,),
}  # fmt: skip


def _checked(said: Any, where: Path) -> Export:
    if not isinstance(said, dict) or not isinstance(said.get("version"), int):
        raise BadInput(f"{where}: is not of an export: it says no version")
    if said["version"] > VERSION:
        made = said.get("romanesco", "a newer one")
        raise BadInput(
            f"{where}: export format {said['version']}, written by romanesco {made}; this is romanesco "
            f"{romanesco.__version__}, which reads up to {VERSION}; update it"
        )
    if _depth(said) > DEPTH:
        raise BadInput(f"{where}: nested deeper than {DEPTH}, which no export's is")
    for key in (*KINDS, *said):
        if key not in KINDS:
            raise BadInput(f"{where}: unknown key `{key}`; there are {', '.join(KINDS)}")
        if key not in said:
            raise BadInput(f"{where}: `{key}` is missing; export the policy again")
        if not isinstance(said[key], KINDS[key]) or isinstance(said[key], bool):
            raise BadInput(f"{where}: `{key}` is {type(said[key]).__name__}, which it cannot be")
    return Export(**said)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
