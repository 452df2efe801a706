"""CartPole-v1 against Stable-Baselines3's PPO and sb3-contrib's RecurrentPPO: `python benchmarks/sb3.py`.

Both sides use rl-baselines3-zoo's settings (8 environments x 32 steps, one batch of 256, 20 epochs, learning rate and
clip linear to 0) and alternate, each in a process of its own. The figure is env steps a CPU-second of all threads,
learning included, evaluation, imports and compilation excluded; goals: >= 5x PPO, and >= 10x RecurrentPPO with an LSTM
of 256 that actor and critic share. `pip install -r benchmarks/requirements-sb3.txt` first, or name another Python that
has it: `--peer-python`. The recurrent runs are too short to learn: their returns say nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

COMMAND = "python benchmarks/sb3.py"
STEPS = {"mlp": 50_176, "lstm": 8_192}  # of ours, and of PPO
PEER_STEPS = {"mlp": 50_176, "lstm": 2_048}  # RecurrentPPO takes seconds for each thousand
NAMES = {"mlp": "PPO, MLP 64-64", "lstm": "recurrent PPO, LSTM 256"}


def ours(kind: str) -> dict[str, float]:
    """Trains once to compile and once to be measured, from the beginning, and evaluates."""
    import jax
    import numpy as np

    from romanesco.agent.evaluate import evaluate
    from romanesco.lab.build import Objects, environment
    from romanesco.lab.compose import resolve
    from romanesco.lab.devices import numerics
    from romanesco.lab.programs import Programs

    words = {"mlp": [], "lstm": ["memory=lstm", "memory.units=256", "algorithm.minibatches=1", "encoder=identity"]}[
        kind
    ]
    config = resolve("cartpole/mlp", [*words, f"total_steps={STEPS[kind]}", "seeds=1", "eval.every=0"])[0]
    with numerics(config):
        began = time.process_time()
        programs = Programs(config, environment(config.env), Objects(), jax.devices()[:1])
        programs.compile([0], begin=True)
        keys, setups, total = programs.keys([0]), [programs.setup], config.num_updates

        def train():
            ((state, _),) = programs.chunk(keys, programs.begin(keys, setups), setups, shared=(0, total, total))
            return jax.block_until_ready(state)

        train()
        compiled = time.process_time() - began
        wall, cpu = time.perf_counter(), time.process_time()
        state = train()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        judge = jax.jit(lambda key, actor: evaluate(key, programs.setup.env, actor, episodes=100, greedy=True))
        score = float(np.mean(judge(jax.random.key(1), state.learner.actor)["return"]))
    return {"steps": config.final_step, "cpu": cpu, "wall": wall, "cpu_first": compiled, "return": score}


def peer(kind: str) -> dict[str, float]:
    """Stable-Baselines3 with the same settings, on one thread: waiting threads would count as CPU-seconds."""
    import torch
    from sb3_contrib import RecurrentPPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    linear = lambda top: lambda left: left * top
    told = dict(n_steps=32, batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8, ent_coef=0.0,
                learning_rate=linear(1e-3), clip_range=linear(0.2), device="cpu", seed=0)  # fmt: skip
    env = make_vec_env("CartPole-v1", n_envs=8, seed=0)
    if kind == "mlp":
        model = PPO("MlpPolicy", env, **told)
    else:
        nets = dict(lstm_hidden_size=256, shared_lstm=True, enable_critic_lstm=False, net_arch=[64, 64])
        model = RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=nets, **told)
    wall, cpu = time.perf_counter(), time.process_time()
    model.learn(PEER_STEPS[kind])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    score, _ = evaluate_policy(model, make_vec_env("CartPole-v1", seed=1), n_eval_episodes=100 if kind == "mlp" else 5)
    return {"steps": model.num_timesteps, "cpu": cpu, "wall": wall, "cpu_first": cpu, "return": float(score)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "KIND"), help="measure one side once, as JSON")
    args = parser.parse_args()
    if args.one:
        side, kind = args.one
        print(json.dumps({"ours": ours, "peer": peer}[side](kind)))
        return
    from record import row, write

    def measured(python: str, side: str, kind: str) -> dict[str, float]:
        done = subprocess.run([python, __file__, "--one", side, kind], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    rows = []
    for kind, name in NAMES.items():
        pairs = [
            (measured(sys.executable, "ours", kind), measured(args.peer_python, "peer", kind))
            for _ in range(args.repeats)
        ]
        rate = lambda one, part="cpu": one["steps"] / one[part]
        figures = {
            "steps/CPU-s": [rate(a) for a, _ in pairs],
            "SB3's": [rate(b) for _, b in pairs],
            "ratio": [rate(a) / rate(b) for a, b in pairs],
            "ratio of wall time": [rate(a, "wall") / rate(b, "wall") for a, b in pairs],
            "final return": [a["return"] for a, _ in pairs],
            "SB3's final return": [b["return"] for _, b in pairs],
        }
        rows += [row(name, COMMAND, metric, values, 1) for metric, values in figures.items()]
    write("sb3", rows)


if __name__ == "__main__":
    main()
