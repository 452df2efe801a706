"""Options of the group `memory`, one dataclass each. Needs no JAX."""

from dataclasses import dataclass
from typing import ClassVar

from romanesco.lab.fields import Option, key, positive, size


@dataclass
class Memory(Option):
    """What turns past and present features into one vector."""


@dataclass
class Layered(Memory):
    """What memories in layers have in common."""

    layers: int = size(4, "layers")
    gate: str = key("residual", "how a branch joins its layer", choices=("gru", "residual"))
    ffn: int | None = size(None, "width of the feed-forward branch; null: twice the layer's")


@dataclass
class Headed(Layered):
    """What memories whose layers have heads have in common."""

    heads: int = size(4, "heads of a layer")
    head_size: int = size(64, "width of a head")


@dataclass
class NoMemory(Memory):
    """No memory: dense tanh layers."""

    name: ClassVar[str] = "none"
    layers: int = key(2, "dense layers as wide as their input; 0: none", least=0)


@dataclass
class Lstm(Memory):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    name: ClassVar[str] = "lstm"
    units: int | None = size(None, "width of the state; null: that of the encoder")


@dataclass
class Gru(Memory):
    """Gated recurrent unit (Cho et al., 2014)."""

    name: ClassVar[str] = "gru"
    units: int | None = size(None, "width of the state; null: that of the encoder")


@dataclass
class Agalite(Headed):
    """Gated linear attention with an approximate state (Pramanik et al., 2024)."""

    name: ClassVar[str] = "agalite"
    gate: str = key("gru", "how a branch joins its layer", choices=("gru", "residual"))
    ffn: int | None = size(128, "width of the feed-forward branch; null: twice the layer's")
    eta: int = size(4, "feature factor: keys have eta x head_size features")
    channels: int = size(5, "channels (slots) that stand for the matrix state; 1 of quadrature: values only")
    basis: str = key("quadrature", "functions of time of the channels", choices=("quadrature", "reference"))
    feature_map: str = key("relu", "of keys and queries", choices=("relu", "softplus"))
    epsilon: float = positive(1e-3, "added to the divisor; published: 1e-5, which magnifies rounding")


@dataclass
class Galite(Headed):
    """Gated linear attention with a matrix state (Pramanik et al., 2024)."""

    name: ClassVar[str] = "galite"
    gate: str = key("gru", "how a branch joins its layer", choices=("gru", "residual"))
    ffn: int | None = size(128, "width of the feed-forward branch; null: twice the layer's")
    eta: int | None = size(None, "feature factor: keys have eta x head_size features; null: 4, with decay=reference 2")
    decay: str = key("outer", "of the state: what agalite stands for, or published", choices=("outer", "reference"))
    feature_map: str = key("relu", "of keys and queries", choices=("relu", "softplus"))


class Mlstm(Headed):
    """Matrix memory with exponential input gates (Beck et al., 2024)."""

    name = "mlstm"


class GatedDeltanet(Headed):
    """Matrix memory that corrects what a key reads (Yang et al., 2025)."""

    name = "gated_deltanet"


@dataclass
class Gsa(Headed):
    """Gated slot attention: softmax over slots that learned gates write (Zhang et al., 2024)."""

    name: ClassVar[str] = "gsa"
    slots: int | None = size(None, "slots of a head; null: half as many as a head is wide")


@dataclass
class Mamba2(Headed):
    """Selective state space with a scalar decay a head (Dao and Gu, 2024)."""

    name: ClassVar[str] = "mamba2"
    state_size: int | None = size(None, "numbers that a head keeps for each of its values; null: head_size")
    conv: int = size(4, "steps that its convolution sees; 1: the present one alone")


@dataclass
class Shm(Layered):
    """Stable Hadamard memory: a matrix whose entries are calibrated one by one (Le et al., 2025)."""

    name: ClassVar[str] = "shm"
    units: int = size(64, "rows and columns of the matrix; published: 128, in one layer")
    thetas: int = size(128, "rows of parameters, of which each step draws one")


@dataclass
class Window(Headed):
    """Attention over the last steps of the episode, with a bias for each age."""

    name: ClassVar[str] = "window"
    heads: int = size(4, "heads of a layer; divide its width unless head_size is given")
    head_size: int | None = size(None, "width of a head; null: width / heads")  # type: ignore[assignment]
    window: int = key(128, "steps that a query sees, its own among them", least=2)


class Mingru(Layered):
    """Minimal gated recurrent unit, whose gates do not see its state (Feng et al., 2024)."""

    name = "mingru"


class Lru(Layered):
    """Linear recurrent unit: a diagonal complex recurrence (Orvieto et al., 2023)."""

    name = "lru"


@dataclass
class Rtu(Memory):
    """Recurrent trace unit: a diagonal complex recurrence read through relu (Elelimy et al., 2024)."""

    name: ClassVar[str] = "rtu"
    units: int | None = size(None, "complex units, two numbers of the output each; null: the width of the encoder")


@dataclass
class Ffm(Memory):
    """Fast and Forgetful Memory: traces that fade and turn (Morad et al., 2023)."""

    name: ClassVar[str] = "ffm"
    units: int | None = size(None, "width of the output; null: that of the encoder")
    traces: int = size(32, "decay rates")
    contexts: int = size(4, "frequencies; the state is traces x contexts complex numbers")


@dataclass
class Brc(Memory):
    """Bistable recurrent cell: units that hold one of two states (Vecoven et al., 2021)."""

    name: ClassVar[str] = "brc"
    units: int | None = size(None, "width of the state; null: that of the encoder")
    neuromodulated: bool = key(False, "units see one another (nBRC); false: each itself alone")


@dataclass
class Gtrxl(Headed):
    """Gated transformer over the last steps of the episode, with relative positions (Parisotto et al., 2020)."""

    name: ClassVar[str] = "gtrxl"
    gate: str = key("gru", "how a branch joins its layer", choices=("gru", "residual"))
    ffn: int | None = size(None, "width of the feed-forward branch; null: the layer's")
    window: int = key(128, "steps that a query sees, its own among them; the published memory_len + 1", least=2)
    query_norm: bool = key(True, "queries read the normalized input; false: as published code has it")


MEMORIES = (
    NoMemory, Lstm, Gru, Agalite, Galite, Gtrxl, Window, Mingru, Lru, Mlstm, GatedDeltanet, Rtu, Ffm,
    Gsa, Mamba2, Shm, Brc,
)  # fmt: skip
