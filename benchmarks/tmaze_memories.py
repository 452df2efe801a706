"""Memories of one size on the T-Mazes, by the length of the corridor: `python benchmarks/tmaze_memories.py`.

Every memory is one layer of 32 in the same agent, and as large as the agalite of `tmaze/small`, within 2 %; `none` is
smaller. All get the same seeds, the reverse curriculum (not in `tmaze_endless`) and, for each length, the same steps.
P(reach), P(correct | reach) and P(all right) are of the final greedy episodes of all seeds; a seed has learned at the
first row of its log that plays the plain task with a success of 95 %. Brackets hold 95 % intervals: of the
probabilities Wilson's, else over seeds. What is finished is not trained again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from record import row, write
from training import trained

from romanesco.study.runs import Run
from romanesco.study.stats import interval, iqm, wilson

SEEDS = 10
HEADS = ("memory.heads=2", "memory.head_size=16")
ONE = "memory.layers=1"
MEMORIES: dict[str, tuple[str, ...]] = {
    "agalite": (),
    "galite": ("memory=galite", ONE, *HEADS, "memory.eta=2", "memory.ffn=64"),
    "gtrxl": ("memory=gtrxl", ONE, *HEADS, "memory.window=129", "memory.ffn=86"),
    "gru": ("memory=gru", "memory.units=73"),
    "lstm": ("memory=lstm", "memory.units=62"),
    "mingru": ("memory=mingru", ONE, "memory.ffn=324"),
    "lru": ("memory=lru", ONE, "memory.ffn=292"),
    "mlstm": ("memory=mlstm", ONE, *HEADS, "memory.ffn=273"),
    "gated_deltanet": ("memory=gated_deltanet", ONE, *HEADS, "memory.ffn=273"),
    "none": ("memory=none",),
}
BUDGETS = {  # steps of a seed, by world and length
    "tmaze": {10: 150_000, 20: 300_000, 40: 300_000, 80: 400_000, 160: 700_000},
    "tmaze_walk": {100: 300_000, 1000: 500_000},
    "tmaze_endless": {10: 500_000},
}


def run_of(world: str, memory: str, length: int, root: str) -> Run:
    """The run of one memory and one length, trained unless it is there."""
    kind = world.removeprefix("tmaze").lstrip("_")
    path = Path(root) / "tmaze" / "small" / "-".join(filter(None, [kind, memory, str(length)]))
    words = [
        *MEMORIES[memory], f"env={world}", f"env.corridor_length={length}", f"total_steps={BUDGETS[world][length]}",
        f"seeds={SEEDS}", "eval.every=100%", "log.every=2%", *["curriculum=none"] * (world == "tmaze_endless"),
    ]  # fmt: skip
    return trained(path, "tmaze/small", words)


def learned_at(run: Run, seed: int) -> int | None:
    """The first logged step from which on the plain task was played with a success of 95 %."""
    for told in run.metrics(seed):
        if told.get("train/start_distance", 0) == 0 and (told.get("rollout/success_rate") or 0) >= 0.95:
            return told["step"]
    return None


def share(successes: float, trials: int) -> dict[str, object]:
    """A probability and Wilson's interval, as columns of a row."""
    low, high = wilson(successes, trials)
    return {"value": f"{successes / trials:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}"}


def rows_of(run: Run, world: str, memory: str, length: int) -> list[dict[str, object]]:
    results, model = run.results or {}, run.model or {}
    ends = [s["greedy"] for s in results["seeds"] if s["greedy"]]
    episodes = sum(end["episodes"] for end in ends)
    right = round(sum(end["success"] * end["episodes"] for end in ends))
    name, command = f"L {length}, {memory}", f"python benchmarks/tmaze_memories.py --world {world} --lengths {length}"
    entry = lambda metric, values: row(name, command, metric, values, len(ends))
    middle = lambda metric, scores: row(name, command, metric, [iqm(scores)], len(ends), interval=interval(scores))
    if world == "tmaze_endless":
        told = [entry("P(all right)", [0]) | share(right, episodes)]
        solved = [statistics.mean(run.evals(seed, "greedy")[-1]["corridors_solved"]) for seed in run.seeds]
        told.append(middle("IQM corridors solved", solved))
    else:
        reached = round(sum(end["reached"] * end["episodes"] for end in ends))
        told = [entry("P(reach)", [0]) | share(reached, episodes)]
        told.append(entry("P(correct given reach)", [0]) | (share(right, reached) if reached else {"value": "n/a"}))
    told.append(middle("IQM return", [end["mean"] for end in ends]))
    told.append(entry("seeds with success > 95 %", [sum(end["success"] > 0.95 for end in ends)]))
    steps = [at for seed in run.seeds if (at := learned_at(run, seed)) is not None]
    told.append(entry("seeds that learned", [len(steps)]))
    if steps:
        told.append(entry("steps to 95 %, median", [statistics.median(steps)]))
    told.append(entry("parameters", [model["parameters"]]))
    told.append(entry("state", [model["carry"]]))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="tmaze", choices=BUDGETS)
    parser.add_argument("--lengths", nargs="+", type=int, metavar="L", help="of the world's own, all by default")
    parser.add_argument("--memories", nargs="+", default=list(MEMORIES), choices=MEMORIES, metavar="MEMORY")
    parser.add_argument("--root", default="runs/tmaze_memories", help="where the runs lie")
    args = parser.parse_args()
    lengths = args.lengths or list(BUDGETS[args.world])
    if unknown := set(lengths) - set(BUDGETS[args.world]):
        parser.error(f"--lengths {min(unknown)}: {args.world} has {', '.join(map(str, BUDGETS[args.world]))}")
    for length in lengths:
        for memory in args.memories:
            run = run_of(args.world, memory, length, args.root)
            write(f"{args.world}_memories", rows_of(run, args.world, memory, length), replace=False)


if __name__ == "__main__":
    main()
