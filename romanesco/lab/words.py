"""What the small JSON files of a run folder hold. Each has a `version`; study reads them as plain JSON."""

from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = 1


@dataclass(frozen=True)
class Status:
    """status.json. `heartbeat` counts: a reader that sees it stand still for 60 s, with the pid dead, says crashed."""

    status: Literal["running", "finished", "interrupted", "failed"]
    pid: int
    heartbeat: int = 0
    steps: int = 0
    error: str | None = None
    version: int = VERSION


@dataclass(frozen=True)
class Score:
    """One evaluation of one policy: mean return over its episodes, their rate of success and of coming where it is
    decided (`reached`), where the world tells them."""

    mean: float
    episodes: int
    success: float | None = None
    reached: float | None = None


@dataclass(frozen=True)
class SeedResult:
    """What became of one training seed. `frozen_at` is the step of a NaN that stopped it."""

    seed: int
    greedy: Score | None
    sampled: Score | None = None
    absolute: Score | None = None
    best_step: int | None = None
    steps_to_threshold: int | None = None
    frozen_at: int | None = None


@dataclass(frozen=True)
class Results:
    """results.json: the end of a run. `iqm` and `interval` are of the final greedy means over seeds."""

    task: str
    agent: str
    steps: int
    seeds: list[SeedResult]
    iqm: float | None
    interval: tuple[float, float] | None
    threshold: float | None
    budget: int
    evaluation_seeds: list[int] = field(default_factory=list)
    version: int = VERSION


@dataclass(frozen=True)
class Export:
    """config.json of an export: one seed's policy, what it was made with, and the spaces that it lives in.

    `step` is where in training its parameters are from, `selected` how the seed was chosen among others, None where it
    was not; `sha256` is of policy.safetensors. Infinite numbers are texts.
    """

    romanesco: str
    seed: int
    step: int | None
    selected: str | None
    sha256: str
    observation_space: dict[str, Any]
    action_space: dict[str, Any]
    config: dict[str, Any]
    version: int = VERSION
