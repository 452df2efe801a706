"""The configuration of a run: plain dataclasses, every leaf with type, default, bounds and help. Needs no JAX.

`lab/compose.py` makes one from a preset, a file and a command line, `lab/files.py` writes and reads it.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from romanesco.core.errors import BadInput, nearest
from romanesco.core.precision import MATMULS
from romanesco.lab.fields import SHARE, Option, Setting, key, settings
from romanesco.lab.options import ACTS, BASES, GROUPS, Algorithm, Encoder, Memory
from romanesco.lab.worlds import Environment

NEVER = "never"
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
PARTS = ("encoder", "memory", "actor", "critic", "normalizer")  # of an agent: what a run may begin with
INTERVAL = {"least": 1, "words": (SHARE,)}


@dataclass
class Agent:
    """Heads: what turns the memory's output into actions and a value."""

    actor_hidden: list[int] = key([64, 64], "widths of the actor's hidden layers; []: linear", least=1)  # noqa: RUF009
    critic_hidden: list[int] = key([64, 64], "widths of the critic's hidden layers; []: linear", least=1)  # noqa: RUF009
    act: str = key("tanh", "activation of the hidden layers", choices=ACTS)
    head_gain: float = key(0.01, "gain of the actor's last layer", above=0)
    log_std: float = key(0.0, "first log deviation of Box actions")


@dataclass
class Log:
    """What is written while training."""

    sinks: list[str] = key(["jsonl", "tensorboard"], "where metrics go", choices=("jsonl", "tensorboard"))  # noqa: RUF009
    every: int | str = key("1%", "env steps of a row", **INTERVAL)
    git_diff: bool = key(True, "version.json holds uncommitted changes of the package")


@dataclass
class Eval:
    """How agents are scored."""

    every: int | str = key("10%", "env steps between evaluations; 0 or never: none", least=0, words=(SHARE, NEVER))
    episodes: int = key(10, "episodes of an evaluation; 0: no evaluations", least=0)
    final_episodes: int = key(100, "episodes of the last one", least=1)
    mode: str = key("greedy", "how actions are chosen while training", choices=("greedy", "sampled"))

    @property
    def fresh_episodes(self) -> int:
        """Those by which the best policy is judged in the end."""
        return 10 * self.episodes

    @property
    def most_episodes(self) -> int:
        return max(self.episodes, self.final_episodes, self.fresh_episodes)

    @property
    def streams(self) -> int:
        """How many play side by side: by default one episode each while training, ten each at the end."""
        return max(self.episodes, self.final_episodes // 10)


@dataclass
class Checkpoint:
    """When the run is saved."""

    every: int | str = key("10%", "env steps between checkpoints", **INTERVAL)
    minutes: float = key(10.0, "most minutes between checkpoints", above=0, finite=False)
    keep: int = key(3, "newest checkpoints that stay", least=1)


@dataclass
class Run:
    """How a run behaves as a process."""

    grace: float = key(60.0, "seconds a run may take to save when it is told to stop", least=0)


@dataclass(kw_only=True)
class Config:
    """A run. `resolve` and `from_yaml` make it; then every number in it is one that the run uses."""

    env: Environment
    memory: Memory
    encoder: Encoder
    algorithm: Algorithm
    agent: Agent = field(default_factory=Agent)
    log: Log = field(default_factory=Log)
    eval: Eval = field(default_factory=Eval)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    run: Run = field(default_factory=Run)

    preset: str | None = key(None, "the preset it began with", pattern=r"[\w-]+(/[\w-]+)?", form="a name TASK/AGENT")
    seed: int = key(0, "the first seed", least=0, most=2**30)
    seeds: int = key(10, "how many: seed, seed + 1, ...; 1 above 10M steps and on the host", least=1, most=10_000)
    total_steps: int = key(100_000, "env steps of each seed; whole updates are done, so the last may pass it", least=1)
    updates: int | None = key(None, "total_steps = updates x num_envs x algorithm.horizon", least=1)
    num_envs: int = key(8, "streams of each seed", least=1, most=2**20)
    curriculum: str = key(
        "none", "reverse: episodes begin near the goal, and farther as they succeed", choices=("none", "reverse")
    )
    device: str = key("auto", "where it runs", choices=("auto", "cpu", "gpu"))
    devices: int | str = key(
        "auto", "over how many devices it is spread; of a CPU, how many seeds go side by side", least=1,
        words=("auto", "all"),
    )  # fmt: skip
    jobs: int | str = key("auto", "processes for seeds on the host; auto: one a core", least=1, words=("auto",))
    precision: str = key("float32", "of matrix products", choices=tuple(MATMULS))
    init_from: str | None = key(
        None,
        "begin with the parameters of a run or an export (fine-tuning)",
        pattern=r"(?s).+",
        form="a run or a folder",
    )
    init_parts: list[str] = key(list(PARTS), "what init_from gives; the rest is fresh", choices=PARTS)  # noqa: RUF009
    name: str | None = key(
        None, "of the run folder; null: time and a hash", pattern=NAME, form="letters A-Z a-z, digits, . _ -"
    )
    root: str | None = key(None, "folder of all runs; null: $ROMANESCO_RUNS, else runs", pattern=".+", form="a path")

    notes: ClassVar[tuple[str, ...]] = ()  # what the user should be told of how it came to be; never saved

    @property
    def steps_per_update(self) -> int:
        return self.num_envs * self.algorithm.horizon

    @property
    def num_updates(self) -> int:
        """How many updates it takes to do at least `total_steps`."""
        return -(-self.total_steps // self.steps_per_update)

    @property
    def final_step(self) -> int:
        """The env steps of a seed when the run is finished: whole updates."""
        return self.num_updates * self.steps_per_update

    def targets(self, every: int) -> list[int]:
        """The updates after which something due at 0, every, 2 every, ... and at the end is met.

        Each is met at the first update boundary not before it; two on one boundary are one.
        """
        size, last = self.steps_per_update, self.num_updates
        if every <= size:
            return list(range(last + 1))
        return sorted({-(-step // size) for step in range(0, self.total_steps, every)} | {last})

    def eval_targets(self) -> list[int]:
        """The updates after which there is an evaluation (study rule: `targets`); none if it is switched off."""
        return self.targets(int(self.eval.every)) if self.eval.every else []

    def to_dict(self) -> dict[str, Any]:
        """Plain data: root keys, sections and groups, a group's option as its `name`."""
        data: dict[str, Any] = {k: getattr(self, k) for k in ROOT}
        for group in GROUPS:
            option = getattr(self, group)
            data[group] = {"name": option.name, **dataclasses.asdict(option)}
        return data | {section: dataclasses.asdict(getattr(self, section)) for section in SECTIONS}


SECTIONS: dict[str, type] = {"agent": Agent, "log": Log, "eval": Eval, "checkpoint": Checkpoint, "run": Run}
DEFAULTS: dict[str, str] = {"memory": "none", "encoder": "linear", "algorithm": "ppo"}
ROOT: dict[str, Setting] = settings(Config)


def schema(choices: Mapping[str, type[Option]]) -> dict[str, Setting]:
    """Every leaf of a configuration with these options, by dotted key."""
    made = dict(ROOT)
    for section, cls in {**choices, **SECTIONS}.items():
        made |= settings(cls, f"{section}.")
    return made


def option(group: str, name: str) -> tuple[type[Option], dict[str, Any]]:
    """The dataclass of a group's option and the values that its spelling implies (`gymnax:ID` -> {"id": ID})."""
    if name in GROUPS[group]:
        return GROUPS[group][name], {}
    if group == "env":
        from romanesco.envs.table import resolve

        known, values = resolve(name)
        if known.startswith("gymnasium:"):
            from romanesco.lab.plugins import of_gymnasium

            return of_gymnasium(known), values
        return GROUPS[group][known] if known in GROUPS[group] else _plugin(group, known), values
    return _plugin(group, name), {}


def _plugin(group: str, name: str) -> type[Option]:
    from romanesco.lab.plugins import find

    found = find(group, name, BASES[group])
    if found is None:
        options = ", ".join(GROUPS[group])
        raise BadInput(f"no {group} `{name}`{nearest(name, GROUPS[group]) or ';'} options: {options}")
    return found


def build(choices: Mapping[str, type[Option]], data: Mapping[str, Any]) -> Config:
    """A `Config` from nested plain data that says every leaf; each is converted and checked."""
    leaves = schema(choices)

    def made(cls: type, prefix: str, values: Mapping[str, Any]) -> Any:
        fields = {f.name: f"{prefix}{f.name}" for f in dataclasses.fields(cls)}
        return cls(**{name: leaves[dotted].convert(values[name]) for name, dotted in fields.items()})

    parts = {name: made(cls, f"{name}.", data[name]) for name, cls in {**choices, **SECTIONS}.items()}
    return Config(**parts, **{name: leaf.convert(data[name]) for name, leaf in ROOT.items()})
