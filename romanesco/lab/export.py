"""A run becomes an export. Nothing is built for it: arrays and spaces are copied from what the run has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from romanesco.core.errors import BadInput
from romanesco.lab import exported, files, store, weights
from romanesco.lab.load import choose, spaces_of
from romanesco.lab.words import Export

LIMITS = (
    "For research and education: not for vehicles, medical devices, industrial control, trading or anything where "
    "failure harms."
)


def export_policy(
    run: Path, to: Path, *, seed: int | str | None = None, checkpoint: str | int = "latest", card: bool = False,
    force: bool = False,
) -> tuple[Export, list[str]]:  # fmt: skip
    """Writes one seed's policy of `run` as the folder `to` -> what it is, and notes on damaged checkpoints.

    `seed`: a number, None for the first or "best"; `checkpoint`: "latest", "best" or a step. `card` adds a model card;
    `force` replaces an earlier export. Raises `BadInput` where nothing sound was saved, or `to` is not free.
    """
    to = exported.free(to, force=force)
    if run.resolve() in (to.resolve(), *to.resolve().parents):
        raise BadInput(f"--to {to}: lies in the run; an export is a folder of its own")
    found, notes = weights.of_run(run, checkpoint)
    chosen, selected = choose(run, {seed: one.step for seed, one in found.items()}, seed)
    where = run / store.CONFIG
    config = files.parse(where.read_text(encoding="utf-8-sig"), str(where))
    spaces_of(run)  # raises where the run noted none
    about = json.loads((run / "model.json").read_bytes())
    results = (run / exported.RESULTS).read_bytes() if (run / exported.RESULTS).is_file() else None
    made = exported.write(
        to, found[chosen], config=config, selected=selected, results=results, force=force,
        observation_space=about["observation_space"], action_space=about["action_space"],
        card=model_card(run, found[chosen], config, selected, about) if card else None,
    )  # fmt: skip
    return made, notes


def _measured(one: weights.Weights, results: dict[str, Any]) -> dict[str, Any] | None:
    """The score of just these parameters: the final greedy one, or the fresh one of the best; None of others."""
    row = next((row for row in results.get("seeds", []) if row["seed"] == one.seed), {})
    steps = {row.get("best_step"): row.get("absolute"), results.get("steps"): row.get("greedy")}
    return steps.get(one.step)


def model_card(
    run: Path, one: weights.Weights, config: dict[str, Any], selected: str | None, about: dict[str, Any]
) -> str:
    """README.md of a policy: its score as `model-index` metadata, what it is, how it is loaded, and its limits."""
    results = store.RunFolder(run).read_json(exported.RESULTS) or {}
    score, iqm, interval = _measured(one, results), results.get("iqm"), results.get("interval")
    memory, encoder, algorithm = (config[group]["name"] for group in ("memory", "encoder", "algorithm"))
    world = str(config["env"].get("id") or config["env"]["name"])
    head: dict[str, Any] = {"library_name": "romanesco", "tags": ["reinforcement-learning", algorithm, memory]}
    if score is not None:
        measured = {"type": "mean_reward", "name": "mean return of the greedy policy", "value": score["mean"]}
        task = {"type": "reinforcement-learning", "name": "reinforcement learning"}
        found = {"task": task, "dataset": {"name": world, "type": world}, "metrics": [measured]}
        head["model-index"] = [{"name": f"{algorithm} on {world}", "results": [found]}]
    of = len(results.get("seeds", [])) or config["seeds"]
    span = f", 95 % interval [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
    lines = [
        f"# {algorithm} on {world}",
        f"Training seed {one.seed} of {of}, env step {one.step:,}. Memory {memory}, encoder {encoder}, "
        f"{about.get('parameters', 0):,} parameters.",
        f"The seed was selected: {selected}. Fresh episodes give less." if selected else "",
        f"Greedy return {score['mean']:.4g} over {score['episodes']} episodes." if score else "",
        f"All seeds of the run: interquartile mean {iqm:.4g}{span}." if iqm is not None else "",
        '```python\nimport romanesco as rm\n\npolicy = rm.load("FOLDER")\naction = policy(obs)\n```',
        LIMITS,
    ]
    front = yaml.dump(head, Dumper=files.Dumper, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(line for line in lines if line) + "\n"
