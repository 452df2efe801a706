from dataclasses import dataclass
@dataclass(frozen=True)
class Stacked:
    gate: str = "residual"
    act: str = "none"
    ffn: int | None = None
    init: str = "lecun"
    last_norm: bool = True
