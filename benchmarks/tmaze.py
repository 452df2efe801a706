"""T-Maze at the published AGaLiTe size: training speed and the learner's pass: `python benchmarks/tmaze.py`.

Published size (Pramanik et al., 2024): 4 layers, width 128, 4 heads of 64, eta 4, feed-forward 128, heads of 128, 8
streams x 256 steps, A2C. The public code ran at about 280 env steps per second on such a machine; goal >= 15x.
"""

from __future__ import annotations

import argparse

import equinox as eqx
import jax
from record import row, runner, times, write

from romanesco.agent.rollout import collect
from romanesco.lab.build import Objects, environment
from romanesco.lab.compose import resolve
from romanesco.lab.devices import numerics
from romanesco.lab.programs import Programs
from romanesco.learn import ppo
from romanesco.learn.gae import advantages

COMMAND = "python benchmarks/tmaze.py"
PUBLIC = 280  # env steps per second of the public code
SIZE = ["env=tmaze", "env.corridor_length=120", "encoder=linear", "encoder.width=128", "memory=agalite",
        "agent.actor_hidden=[128]", "agent.critic_hidden=[128]", "algorithm=a2c", "algorithm.horizon=256",
        "algorithm.learning_rate=1e-4", "algorithm.entropy_cost=1e-3", "num_envs=8", "seeds=1",
        "total_steps=5e6", "eval.every=0"]  # fmt: skip


def training(name: str, overrides: list[str], repeats: int, updates: int = 4) -> list[dict[str, object]]:
    """Environment steps a second, acting and learning included."""
    config = resolve(None, [*SIZE, *overrides])[0]
    with numerics(config):
        programs = Programs(config, environment(config.env), Objects(), jax.devices()[:1])
        wall, _ = times(runner(programs, [0], updates), repeats)
    rate = [updates * config.steps_per_update / t for t in wall]
    return [
        row(name, COMMAND, "steps/s", rate, 1),
        row(name, COMMAND, f"x {PUBLIC} steps/s", [r / PUBLIC for r in rate], 1),
    ]


def learner_pass(name: str, overrides: list[str], repeats: int) -> list[dict[str, object]]:
    """Loss and gradient of one rollout of 8 x 256 steps (257 with the final one), and its temporary memory."""
    config = resolve(None, [*SIZE, *overrides])[0]
    with numerics(config):
        programs = Programs(config, environment(config.env), Objects(), jax.devices()[:1])
        programs.compile([0], begin=True)
        state = programs.begin(programs.keys([0]), [programs.setup])[0]
        setup = programs.setup
        run = jax.jit(lambda s: collect(jax.random.key(0), setup.env, s.learner.actor, s.streams, setup.horizon)[1])
        rollout = run(state)
        adv = advantages(rollout, setup.hp.gamma, setup.hp.lam)
        gradient = eqx.filter_value_and_grad(ppo.loss, has_aux=True)
        learner = state.learner
        program = jax.jit(lambda a, r, v: gradient(a, learner.normalizer, r, v, setup.hp)).lower(
            learner.agent, rollout, adv
        )
        compiled = program.compile()
        wall, _ = times(lambda: jax.block_until_ready(compiled(learner.agent, rollout, adv)), repeats)
    memory = compiled.memory_analysis().temp_size_in_bytes / 2**20
    return [
        row(name, COMMAND, "learner pass, ms", [1e3 * t for t in wall], 1),
        row(name, COMMAND, "learner pass, temporary MiB", [memory], 1),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for name, overrides in (
        ("agalite, 5 channels", []),
        ("agalite, 2 channels", ["memory.channels=2"]),
        ("gru 128", ["memory=gru"]),
    ):
        rows += training(name, overrides, args.repeats)
        rows += learner_pass(name, overrides, args.repeats)
    write("tmaze_speed", rows)


if __name__ == "__main__":
    main()
