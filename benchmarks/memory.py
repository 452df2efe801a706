"""Memories against the public AGaLiTe code at the published size: `python benchmarks/memory.py --peer CHECKOUT`.

CHECKOUT is a clone of github.com/subho406/agalite at 101acbe; `--peer-python` names a Python with jax and flax, if this
one has no flax. Both sides live at once, in a process each, and take turns, call by call. A learner pass is the mean
square of all outputs and its gradient in the parameters, 8 streams x 257 steps; acting is one step of 8 streams. Both
contain the encoder (a dense layer from 16 numbers), no heads. Goals, by minima: the pass of agalite in the published
basis in <= 1/4 of the time and memory, acting not slower; acting of gtrxl in <= 1/5 of the time. `% of GEMM` is what
the useful FLOPs, those that XLA counts for one step and three times these where a gradient is taken, come to of this
machine's rate of matrix products in the same run. CPU-seconds are of all threads; on a busy machine trust their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

COMMAND = "python benchmarks/memory.py"
SIZE_IN, STREAMS, STEPS = 16, 8, 257
ACTS = 100  # steps of one measurement of acting
TASKS = ("learner pass", "acting")
CELLS: dict[str, tuple[str, dict[str, Any], str | None]] = {  # our memory, its settings, and the public configuration
    "agalite, published basis": ("agalite", {"basis": "reference", "channels": 2}, "arelit"),
    "agalite": ("agalite", {}, None),
    "galite, published decay": ("galite", {"decay": "reference"}, "relit"),
    "galite": ("galite", {}, None),
    "gtrxl128": ("gtrxl", {"window": 129}, "gtrxl128"),
    "gtrxl256": ("gtrxl", {"window": 257}, "gtrxl256"),
    "lstm": ("lstm", {"units": 600}, "lstm"),
    "gru": ("gru", {"units": 680}, "gru"),
}

# A side gives parameters, the carry of a new stream, and two functions of (parameters, carry, inputs, first) that
# return (carry, outputs), of one stream: over a sequence, and for a step.
Side = tuple[Any, Any, Callable, Callable]


def ours(cell: str) -> Side:
    from romanesco.core.layers import dense, orthogonal
    from romanesco.memory import MEMORIES, Stack

    name, settings, _ = CELLS[cell]
    key = jax.random.key(0)
    if MEMORIES[name].stacked is None:
        memory = MEMORIES[name](SIZE_IN, key=key, **settings)
        return memory, memory.init_carry(), lambda m, *x: m.sequence(*x), lambda m, *x: m.step(*x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the rank of the published basis
        memory = Stack.of(MEMORIES[name], key=key, **settings)
    encoder = orthogonal(SIZE_IN, memory.size_out, key=key)

    def over(way: Callable) -> Callable:
        return lambda params, carry, x, first: way(params[1])(carry, jax.nn.relu(dense(params[0], x)), first)

    return (encoder, memory), memory.init_carry(), over(lambda m: m.sequence), over(lambda m: m.step)


def peer(checkout: str, config: str) -> Side:
    import functools

    import yaml
    from flax import linen

    sys.path.insert(0, checkout)
    told = yaml.safe_load((Path(checkout) / "config/tmaze" / f"{config}.yaml").read_text())["trainer"]["seq_model"]
    jax.tree_map = jax.tree.map  # which the public code calls and newer JAX has no more
    if told["name"] == "gru":  # older flax read the width from the state
        linen.GRUCell = functools.partial(linen.GRUCell, features=told["d_model"])
    from src.model_fns import seq_fns

    make, begin = getattr(seq_fns, f"seq_model_{told['name']}")(**told)
    model, memory = make(), begin()
    # not as one program: with jax 0.10.2 that of the public galite never ends on two cores
    params = model.init(jax.random.key(0), jnp.zeros((1, SIZE_IN)), jnp.zeros(1, bool), memory)

    def sequence(params, memory, xs, first):
        ys, memory = model.apply(params, xs, first, memory)
        return memory, ys

    return params, memory, sequence, lambda p, m, x, first: sequence(p, m, x[None], first[None])


class Program:
    """One task of one side, compiled; a call measures it once -> wall and CPU seconds."""

    def __init__(self, side: Side, task: str, *, axis: int, donate: bool):
        """`axis` is that of the streams in a batch of sequences."""
        self.params, carry, sequence, step = side
        rng = np.random.default_rng(0)
        xs, first = rng.standard_normal((STREAMS, STEPS, SIZE_IN), np.float32), rng.random((STREAMS, STEPS)) < 0.01
        self.carry = jax.tree.map(lambda x: jnp.repeat(x[None], STREAMS, 0), carry)
        lowered = jax.jit(step).lower(self.params, carry, xs[0, 0], first[0, 0])
        self.flops = STREAMS * float(lowered.cost_analysis()["flops"])
        if task == "acting":
            xs, first = xs[:, 0], first[:, 0]
            program = jax.jit(jax.vmap(step, (None, 0, 0, 0)), donate_argnums=1 if donate else ())
        else:
            xs, first = np.moveaxis(xs, 0, axis), np.moveaxis(first, 0, axis)
            batched = jax.vmap(sequence, (None, 0, axis, axis), (0, axis))
            loss = lambda params, carry, xs, first: (batched(params, carry, xs, first)[1] ** 2).mean()
            program, self.flops = jax.jit(jax.value_and_grad(loss)), 3 * STEPS * self.flops
        self.acting, self.inputs = task == "acting", (jnp.asarray(xs), jnp.asarray(first))
        began = time.perf_counter()
        self.run = program.lower(self.params, self.carry, *self.inputs).compile()
        self.compile = time.perf_counter() - began
        self.mebibytes = self.run.memory_analysis().temp_size_in_bytes / 2**20

    def __call__(self) -> tuple[float, float]:
        turns, wall, cpu = ACTS if self.acting else 1, time.perf_counter(), time.process_time()
        for _ in range(turns):
            done = jax.block_until_ready(self.run(self.params, self.carry, *self.inputs))
            self.carry = done[0] if self.acting else self.carry
        return (time.perf_counter() - wall) / turns, (time.process_time() - cpu) / turns


def serve(checkout: str) -> None:
    """Answers requests, a line of JSON each: to prepare a task of a configuration, or to measure it once."""
    program: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked is not None:
            program = None  # its memory goes first
            program = Program(peer(checkout, asked[0]), asked[1], axis=0, donate=False)
        answer = program() if asked is None else {"compile": program.compile, "mebibytes": program.mebibytes}
        print(json.dumps(answer), flush=True)


def gemm_rate() -> float:
    """FLOPs a second of a product of two square matrices; one measurement."""
    n, turns = 1024, 10
    x = jnp.ones((n, n))
    product = jax.jit(lambda x: x @ x).lower(x).compile()
    jax.block_until_ready(product(x))
    began = time.perf_counter()
    for _ in range(turns):
        jax.block_until_ready(product(x))
    return 2 * n**3 * turns / (time.perf_counter() - began)


def measure(cell: str, task: str, ask: Callable[[Any], Any] | None, repeats: int) -> list[dict[str, object]]:
    """Rows of a cell's task; the GEMM rate is its own, for a machine's load may change between tasks."""
    from record import row

    config = CELLS[cell][2]
    program = Program(ours(cell), task, axis=1, donate=True)
    told = ask([config, task]) if ask and config else None
    turns = [(gemm_rate(), program(), ask(None) if ask and told else (0, 0)) for _ in range(repeats + 1)]
    rates, mine, theirs = zip(*turns[1:], strict=True)  # the first is not counted
    (wall, cpu), (public_wall, public_cpu) = zip(*mine, strict=True), zip(*theirs, strict=True)
    name, ms = f"{cell}, {task}", lambda seconds: [1e3 * t for t in seconds]
    made = {
        "ms": ms(wall),
        "CPU ms": ms(cpu),
        "temporary MiB": [program.mebibytes],
        "GEMM, GFLOP/s": [rate / 1e9 for rate in rates],
        "% of GEMM": [100 * program.flops / min(wall) / max(rates)],
        "compile s": [program.compile],
    }
    if told:
        made |= {
            "public, ms": ms(public_wall),
            "public, CPU ms": ms(public_cpu),
            "public, MiB": [told["mebibytes"]],
            "public, compile s": [told["compile"]],
            "ms, public / ours": [min(public_wall) / min(wall)],
            "CPU ms, public / ours": [min(public_cpu) / min(cpu)],
        }
    command = f"{COMMAND} --peer CHECKOUT" if told else COMMAND
    return [row(name, command, metric, values) for metric, values in made.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peer", metavar="CHECKOUT", help="of the public code; without it ours alone is measured")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS, metavar="CELL")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS, metavar="TASK")
    parser.add_argument("--serve", metavar="CHECKOUT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    from record import write

    ask = None
    if args.peer:
        command = [args.peer_python, __file__, "--serve", args.peer]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert other.stdin and other.stdout

        def ask(request: Any) -> Any:
            print(json.dumps(request), file=other.stdin, flush=True)
            return json.loads(other.stdout.readline())

    for cell in args.cells:
        for task in args.tasks:
            write("memory", measure(cell, task, ask, args.repeats), replace=False)


if __name__ == "__main__":
    main()
