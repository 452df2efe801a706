"""Fine-tuning: a run begins with parameters that another run, or an export, has learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from romanesco.agent.normalize import Normalized
from romanesco.core.errors import BadInput
from romanesco.lab import exported, store, weights
from romanesco.lab.config import PARTS, Config
from romanesco.lab.weights import Weights
from romanesco.learn.ppo import Learner
from romanesco.learn.train import State

MOST_TOLD = 20  # differences in one message
RECORD = "init.json"


def part_of(name: str) -> str:
    """The part that an array belongs to: `agent.encoder.weight` -> `encoder`; an actor's `log_std` is its own."""
    first, _, rest = name.removeprefix(".").partition(".")
    part = rest.partition(".")[0].partition("[")[0]
    return "normalizer" if first.startswith("normalizer") else "actor" if part == "log_std" else part


@dataclass(frozen=True)
class Source:
    """Where a run's first parameters are from: a run or an export, its seeds, and the parts that are taken."""

    path: Path
    parts: tuple[str, ...]
    weights: Mapping[int, Weights]

    def of(self, seed: int) -> Weights:
        """The seed of the same number, or the only one."""
        if seed not in self.weights and len(self.weights) > 1:
            known = ", ".join(map(str, self.weights))
            raise BadInput(
                f"init_from={self.path}: has no seed {seed}, only {known}; choose seed= and seeds= among them, or "
                "export one and begin all seeds from it"
            )
        return self.weights[seed] if seed in self.weights else next(iter(self.weights.values()))

    def arrays(self, seed: int) -> dict[str, Any]:
        """What enters a seed: the arrays of the parts that are taken."""
        return {name: x for name, x in self.of(seed).arrays.items() if part_of(name) in self.parts}

    def check(self, like: Normalized, seeds: Sequence[int]) -> None:
        """Raises `BadInput` where a seed has no source or its arrays do not fit, path by path."""
        wanted = _only(like, self.parts)
        for seed in seeds:
            if wrong := weights.unfit(self.arrays(seed), wanted):
                told = "; ".join(wrong[:MOST_TOLD])
                more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
                fit = [part for part in self.parts if not self._unfit(part, like, seed)]
                remedy = f"leave out what differs: init_parts=[{','.join(fit)}]" if fit else "no part of it fits"
                raise BadInput(f"init_from={self.path}: other structure. {told}{more}. {remedy}")

    def _unfit(self, part: str, like: Normalized, seed: int) -> list[str]:
        one = dataclasses.replace(self, parts=(part,))
        return weights.unfit(one.arrays(seed), _only(like, (part,)))

    def begin(self, seed: int, state: State) -> State:
        """A fresh state of a seed with these parts in place of its own: optimizer and streams stay fresh."""
        learner = state.learner
        given = weights.fill(self.arrays(seed), _only(learner.actor, self.parts))
        actor: Normalized = jax.tree.map(
            lambda x, new: x if new is None else jax.device_put(new, x.sharding), learner.actor, given,
            is_leaf=lambda x: x is None,
        )  # fmt: skip
        learner = Learner(actor.agent, learner.opt_state, actor.normalizer)
        empty = jax.tree.map(
            lambda old, x: jax.device_put(jnp.array(jnp.broadcast_to(x, old.shape), copy=True), old.sharding),
            state.streams.carry, actor.init_carry(),
        )  # fmt: skip
        return dataclasses.replace(state, learner=learner, streams=dataclasses.replace(state.streams, carry=empty))

    def record(self, seeds: Sequence[int]) -> dict[str, Any]:
        """init.json: what each seed began with."""
        told = {
            str(seed): {
                "seed": self.of(seed).seed,
                "step": self.of(seed).step,
                "sha256": Weights(seed, None, self.arrays(seed)).sha256,
            }
            for seed in seeds
        }
        return {"version": 1, "source": str(self.path), "parts": list(self.parts), "seeds": told}

    def describe(self, seeds: Sequence[int]) -> str:
        """In one line."""
        steps = sorted({self.of(seed).step or 0 for seed in seeds})
        of = "its only seed" if len(self.weights) == 1 else "the same seeds"
        at = f"step {steps[0]:,}" if len(steps) == 1 else f"steps {steps[0]:,} to {steps[-1]:,}"
        return f"begins with {', '.join(self.parts)} of {self.path}, {of} at {at}; a fresh optimizer"


def _only(actor: Normalized, parts: Sequence[str]) -> Any:
    """The tree with None for every leaf of another part."""
    keep = lambda path, x: x if part_of(jax.tree_util.keystr(path)) in parts else None
    return jax.tree_util.tree_map_with_path(keep, actor)


def find(config: Config) -> Source | None:
    """What `init_from` and `init_parts` say; None where a run begins from nothing."""
    if config.init_from is None:
        return None
    try:
        path = store.find_policy(config.init_from, config.root)
    except BadInput as error:
        raise BadInput(f"init_from: {error}") from None
    if store.is_export(path):
        about, one = exported.read(path)
        found = {about.seed: one}
    else:
        found, _ = weights.of_run(path)
    return Source(path.resolve(), tuple(part for part in PARTS if part in config.init_parts), found)


def settle(config: Config, like: Normalized) -> tuple[Config, Source | None]:
    """The configuration with the whole path of its source, and the source, which fits an agent such as `like`.

    Raises `BadInput` where it does not, or where a seed has none.
    """
    source = find(config)
    if source is None:
        return config, None
    source.check(like, range(config.seed, config.seed + config.seeds))
    return dataclasses.replace(config, init_from=str(source.path)), source


def again(config: Config, folder: store.RunFolder, seeds: Sequence[int]) -> Source | None:
    """The source of further seeds of a run. Raises `BadInput` where it is no longer what the first ones began with."""
    source = find(config) if seeds else None
    if source is None:
        return None
    known = (folder.read_json(RECORD) or {}).get("seeds", {})
    for seed, told in known.items():
        if Weights(0, None, source.arrays(int(seed))).sha256 != told["sha256"]:
            raise BadInput(
                f"init_from={source.path}: has changed since this run began (seed {seed} at step {told['step']} then, "
                f"{source.of(int(seed)).step} now), so more seeds would begin elsewhere; start a new run"
            )
    return source
