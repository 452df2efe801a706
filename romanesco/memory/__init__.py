"""Memories: cells that obey one contract (`core.types.Memory`), and the stack of them; JAX is imported on use."""

import importlib
from typing import TYPE_CHECKING, Any

from romanesco.core.registry import Registry

if TYPE_CHECKING:
    from romanesco.memory.agalite import AGaLiTe as AGaLiTe
    from romanesco.memory.brc import BRC as BRC
    from romanesco.memory.ffm import FFM as FFM
    from romanesco.memory.galite import GaLiTe as GaLiTe
    from romanesco.memory.gated_deltanet import GatedDeltaNet as GatedDeltaNet
    from romanesco.memory.glimpse import Glimpse as Glimpse
    from romanesco.memory.gru import GRU as GRU
    from romanesco.memory.gsa import GSA as GSA
    from romanesco.memory.gtrxl import GTrXL as GTrXL
    from romanesco.memory.lru import LRU as LRU
    from romanesco.memory.lstm import LSTM as LSTM
    from romanesco.memory.mamba2 import Mamba2 as Mamba2
    from romanesco.memory.mingru import MinGRU as MinGRU
    from romanesco.memory.mlstm import MLSTM as MLSTM
    from romanesco.memory.none import Feedforward as Feedforward
    from romanesco.memory.rtu import RTU as RTU
    from romanesco.memory.shm import SHM as SHM
    from romanesco.memory.stack import Stack as Stack
    from romanesco.memory.stack import Stacked as Stacked
    from romanesco.memory.window import Window as Window

MEMORIES = Registry(
    "memory",
    {
        "none": "romanesco.memory.none:Feedforward",
        "lstm": "romanesco.memory.lstm:LSTM",
        "gru": "romanesco.memory.gru:GRU",
        "agalite": "romanesco.memory.agalite:AGaLiTe",
        "galite": "romanesco.memory.galite:GaLiTe",
        "gtrxl": "romanesco.memory.gtrxl:GTrXL",
        "window": "romanesco.memory.window:Window",
        "mingru": "romanesco.memory.mingru:MinGRU",
        "lru": "romanesco.memory.lru:LRU",
        "mlstm": "romanesco.memory.mlstm:MLSTM",
        "gated_deltanet": "romanesco.memory.gated_deltanet:GatedDeltaNet",
        "rtu": "romanesco.memory.rtu:RTU",
        "ffm": "romanesco.memory.ffm:FFM",
        "gsa": "romanesco.memory.gsa:GSA",
        "mamba2": "romanesco.memory.mamba2:Mamba2",
        "shm": "romanesco.memory.shm:SHM",
        "brc": "romanesco.memory.brc:BRC",
    },
)

_HOME = {
    "AGaLiTe": "agalite",
    "BRC": "brc",
    "Feedforward": "none",
    "FFM": "ffm",
    "GaLiTe": "galite",
    "GatedDeltaNet": "gated_deltanet",
    "Glimpse": "glimpse",
    "GRU": "gru",
    "GSA": "gsa",
    "GTrXL": "gtrxl",
    "LRU": "lru",
    "LSTM": "lstm",
    "Mamba2": "mamba2",
    "MinGRU": "mingru",
    "MLSTM": "mlstm",
    "RTU": "rtu",
    "SHM": "shm",
    "Stack": "stack",
    "Stacked": "stack",
    "Window": "window",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"romanesco.memory.{_HOME[name]}"), name)
    raise AttributeError(f"module 'romanesco.memory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
