"""Controls: the same run, but for the one part that is taken away or replaced. Needs JAX to match sizes only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from romanesco.core.errors import BadInput, among
from romanesco.lab.compose import resolve
from romanesco.lab.config import Config
from romanesco.lab.fields import show

HEADS = "heads"
FULL = "full"  # the arm that all controls are compared with


@dataclass(frozen=True)
class Control:
    """What a control changes, as overrides; `fits` says of which configurations it can be a control."""

    help: str
    overrides: Callable[[Config], list[str]] | None  # None: nothing is trained, the whole agent is changed
    fits: Callable[[Config], bool]
    needs: str


def _memory(key: str, value: object, help: str) -> Control:
    """A setting of the memory gets another value."""
    fits = lambda config: hasattr(config.memory, key) and getattr(config.memory, key) != value
    return Control(help, lambda config: [f"memory.{key}={value}"], fits, f"a memory whose {key} is not {value} already")


def _galite(config: Config) -> list[str]:
    """GaLiTe with the settings that it shares with AGaLiTe."""
    values = {key: getattr(config.memory, key) for key in SHARED}
    return ["memory=galite", *(f"memory.{key}={show(value)}" for key, value in values.items())]


def _encoder(name: str, help: str) -> Control:
    """A control that the encoder itself offers."""
    fits = lambda config: getattr(config.encoder, "control", name) == "none"
    return Control(help, lambda _: [f"encoder.control={name}"], fits, "an encoder that attends")


def _state_matched(config: Config) -> list[str]:
    """A GRU whose state has as many numbers as the memory's."""
    from romanesco.lab.costs import state

    floats = state(config)
    if floats > MOST_UNITS:
        raise BadInput(
            f"control `state_matched`: the state of memory={config.memory.name} holds {floats:,} numbers; a GRU of as "
            f"many units has {3 * floats**2:.1e} parameters or more, and at most {MOST_UNITS:,} units are trained; the "
            f"nearest that can be is `memory=gru memory.units={MOST_UNITS}`, {floats / MOST_UNITS:.0f} times smaller"
        )
    return ["memory=gru", f"memory.units={floats}"]


MOST_UNITS = 4096  # of a GRU: 5 x 10^7 parameters
SHARED = ("layers", "heads", "head_size", "eta", "feature_map", "gate", "ffn")

CONTROLS: dict[str, Control] = {
    "no_memory": Control("the memory is left out", lambda _: ["memory=none", "memory.layers=0"],
                         lambda config: config.memory.name != "none", "a memory"),
    "state_matched": Control("a GRU with as many numbers of state", _state_matched,
                             lambda config: config.memory.name not in ("none", "gru"), "a memory other than gru"),
    "exact": Control("galite: the matrix state that agalite approximates", _galite,
                     lambda config: config.memory.name == "agalite", "memory=agalite"),
    "uniform": _encoder("uniform", "every token has the same weight; no queries and keys"),
    "frozen_qk": _encoder("frozen_qk", "queries and keys are random and stay so"),
    "mlp_matched": _encoder("mlp_matched", "dense layers with as many parameters, within 2 %"),
    "no_residual": _encoder("no_residual", "blocks without what goes around them"),
    HEADS: Control("one head removed at a time from the trained agent, in equal episodes; trains nothing", None,
                   lambda config: hasattr(config.memory, "heads") or hasattr(config.encoder, "heads"), "heads"),
    "value_only": Control("one channel of the quadrature basis: keys and queries cancel",
                          lambda _: ["memory.basis=quadrature", "memory.channels=1"],
                          lambda config: getattr(config.memory, "channels", 1) != 1, "a memory of several channels"),
    "reference_basis": _memory("basis", "reference", "the published functions of time"),
    "eta1": _memory("eta", 1, "no expansion of keys and queries"),
    "softplus": _memory("feature_map", "softplus", "keys and queries never vanish"),
    "residual_gate": _memory("gate", "residual", "branches are added, without a gate"),
}  # fmt: skip


def arms(preset: str, controls: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, Config]:
    """The configurations of an ablation by arm: `full`, then each control that is trained, all with the same seeds and
    budget."""
    for name in controls:
        if name not in CONTROLS:
            raise BadInput(f"control `{name}`{among(name, CONTROLS)}")
        if list(controls).count(name) > 1:
            raise BadInput(f"control `{name}`: named twice")
    (full, *others) = resolve(preset, overrides)
    if others:
        raise BadInput("ablate: a sweep has several agents; ablate one at a time")
    made = {FULL: full}
    for name in controls:
        control = CONTROLS[name]
        if not control.fits(full):
            fitting = [other for other, known in CONTROLS.items() if known.fits(full)]
            raise BadInput(
                f"control `{name}` needs {control.needs}; this run has memory={full.memory.name} and "
                f"encoder={full.encoder.name}; controls that fit: {', '.join(fitting)}"
            )
        if control.overrides is not None:
            (made[name],) = resolve(preset, [*overrides, *control.overrides(full)])
    return made
