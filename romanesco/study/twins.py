"""What a memory is worth, apart from what it does to learning: beside the fully observed twin of its world.

After POPGym Arcade (arXiv 2503.01450): a return alone confounds remembering with being harder, or easier, to train.
"""

from __future__ import annotations

from dataclasses import dataclass

from romanesco.study.arms import Arm
from romanesco.study.claims import bounds
from romanesco.study.stats import Bounds, difference_interval, iqm
from romanesco.study.verdict import number, percent

COLUMNS = ("arm", "task", "twin", "observability gap", "95 % interval", "memory bias", "95 % interval", "recovers",
           "steps to recover")  # fmt: skip


@dataclass(frozen=True)
class Twins:
    """One agent: IQMs of its scores on the task and the twin; the gap between them; what its memory costs, or gives,
    where none is needed; and how it takes one frame of noise (`recovers`: a share of episodes, None where unknown)."""

    arm: str
    task: float
    twin: float
    gap: float  # twin minus task
    gap_interval: Bounds | None
    bias: float  # on the twin, against no memory
    bias_interval: Bounds | None
    recovers: float | None
    steps: float | None

    @classmethod
    def of(cls, task: Arm, twin: Arm, without: Arm, recovery: tuple[float | None, float | None]) -> Twins:
        """`without` is the agent without a memory, on the twin."""
        here, there, none = task.values, twin.values, without.values
        return cls(
            task.name, iqm(here), iqm(there), iqm(there) - iqm(here), difference_interval(there, here),
            iqm(there) - iqm(none), difference_interval(there, none), *recovery,
        )  # fmt: skip

    def cells(self) -> list[str]:
        """A row of the table."""
        share = "-" if self.recovers is None else percent(self.recovers)
        steps = "-" if self.steps is None else number(self.steps)
        return [
            self.arm, number(self.task), number(self.twin), number(self.gap), bounds(self.gap_interval),
            number(self.bias), bounds(self.bias_interval), share, steps,
        ]  # fmt: skip


def sentence(found: list[Twins]) -> str:
    """What the table comes to, of the arms whose intervals exclude 0."""
    far = [one.arm for one in found if one.gap_interval and one.gap_interval[0] > 0]
    near = [one.arm for one in found if one.arm not in far]
    said = []
    if far:
        said.append(f"{', '.join(far)} {'loses' if len(far) == 1 else 'lose'} by what the world hides")
    if near:
        said.append(f"of {', '.join(near)} no such loss is shown")
    costs = [one.arm for one in found if one.bias_interval and one.bias_interval[1] < 0]
    if costs:
        said.append(f"where nothing is hidden, the memory of {', '.join(costs)} costs return")
    return "; ".join(said) + "."
