"""Presets: each composes with every option of each group; their settings are those of their sources."""

import inspect

import pytest

from romanesco.agent import ENCODERS
from romanesco.core.layers import ACTIVATIONS
from romanesco.core.registry import Registry
from romanesco.envs.table import PARAMS
from romanesco.lab.compose import resolve
from romanesco.lab.fields import settings
from romanesco.lab.files import from_yaml, presets, to_yaml
from romanesco.lab.options import ACTS, BASES, GROUPS
from romanesco.lab.plugins import from_signature

WORLDS = [("env", name) for name in GROUPS["env"] if name != "gymnax"]
OTHERS = [(group, name) for group in ("memory", "encoder", "algorithm") for name in GROUPS[group]]


@pytest.mark.parametrize("preset", ["quickstart", "cartpole/mlp", "lander/gru", "tmaze/agalite"])
def test_a_preset_composes_with_every_option_of_each_group(preset):
    for i in range(max(len(WORLDS), len(OTHERS))):
        swaps = WORLDS[i % len(WORLDS)], OTHERS[i % len(OTHERS)]
        (config,) = resolve(preset, [f"{group}={name}" for group, name in swaps])
        assert all(getattr(config, group).name == name for group, name in swaps)


@pytest.mark.parametrize("preset", presets())
def test_a_preset_survives_its_run_folder(preset):
    (config,) = resolve(preset)
    assert from_yaml(to_yaml(config)) == config and config.preset == preset


@pytest.mark.parametrize("preset", presets())
def test_a_preset_needs_no_note_but_of_its_budget(preset):
    (config,) = resolve(preset)
    known = ("total_steps", "seeds=1: total_steps is above")
    known += ("memory.channels=2 of basis=reference",) if preset.endswith("_published") else ()
    assert all(note.startswith(known) for note in config.notes)


ZOO = {  # DLR-RM/rl-baselines3-zoo@22e3ff2 hyperparams/ppo.yml: envs, steps, batch, epochs, gamma, lambda, lr, clip
    "cartpole": (8, 32, 256, 20, 0.98, 0.8, 1e-3, 0.2),
    "acrobot": (16, 256, 64, 4, 0.99, 0.94, 3e-4, 0.2),
    "mountaincar": (16, 16, 64, 4, 0.99, 0.98, 3e-4, 0.2),
    "pendulum": (4, 1024, 64, 10, 0.9, 0.95, 1e-3, 0.2),
}


@pytest.mark.parametrize("task", ZOO)
def test_mlp_presets_start_from_the_zoo(task):
    (c,) = resolve(f"{task}/mlp")
    a = c.algorithm
    batch = c.num_envs * a.horizon // a.minibatches
    assert (c.num_envs, a.horizon, batch, a.epochs, a.gamma, a.lam, a.learning_rate, a.clip) == ZOO[task]
    assert a.normalize == ("both" if task in ("acrobot", "mountaincar") else "none")
    assert (c.encoder.name, c.memory.layers) == ("identity", 0)
    assert c.agent.actor_hidden == c.agent.critic_hidden == [64, 64]


AGALITE = {  # subho406/agalite@101acbe config/tmaze: learning rate, entropy, corridor
    "agalite": (1e-4, 1e-3, 180),
    "galite": (1e-4, 1e-3, 120),
    "gtrxl128": (5e-4, 1e-2, 120),
    "gtrxl256": (5e-4, 1e-3, 120),
    "lstm": (1e-4, 1e-3, 200),
    "gru": (5e-4, 1e-2, 200),
}


@pytest.mark.parametrize("name", AGALITE)
def test_tmaze_presets_are_the_published_ones_but_for_the_corridor(name):
    (ours,), (theirs,) = resolve(f"tmaze/{name}"), resolve(f"tmaze/{name}_published")
    for c in (ours, theirs):
        a = c.algorithm
        assert (a.name, c.num_envs, a.horizon, a.gamma, a.lam, c.total_steps) == ("a2c", 8, 256, 0.99, 0.95, 5_000_000)
        assert (a.learning_rate, a.entropy_cost) == AGALITE[name][:2] and a.adam_eps == 1e-8
    assert (ours.env.corridor_length, ours.curriculum) == (160, "reverse")
    assert (theirs.env.corridor_length, theirs.curriculum) == (AGALITE[name][2], "none")
    assert (ours.agent.head_gain, theirs.agent.head_gain) == (0.01, 1.414)


MYSTERY_PATH = {  # subho406/agalite@101acbe config/mysterypath: eta, or steps that are seen
    "agalite4": ("eta", 4),
    "agalite8": ("eta", 8),
    "gtrxl128": ("window", 129),
    "gtrxl64": ("window", 65),
    "gtrxl32": ("window", 33),
}


@pytest.mark.parametrize("name", MYSTERY_PATH)
def test_mystery_path_presets_are_the_published_ones_but_for_their_faults(name):
    (ours,), (theirs,) = resolve(f"mysterypath/{name}"), resolve(f"mysterypath/{name}_published")
    size, value = MYSTERY_PATH[name]
    for c in (ours, theirs):
        a, m = c.algorithm, c.memory
        assert (a.name, c.num_envs, a.horizon, a.epochs, a.minibatches) == ("ppo", 128, 128, 3, 8)
        assert (a.learning_rate, a.entropy_cost, a.max_grad_norm, a.adam_eps) == (2.5e-4, 3e-4, 5.0, 1e-8)
        assert (a.gamma, a.lam, a.clip, c.total_steps, c.agent.actor_hidden) == (0.99, 0.95, 0.2, 150_000_000, [256])
        assert (m.layers, m.heads, m.head_size, m.ffn, getattr(m, size)) == (
            4,
            4,
            64,
            {"window": None}.get(size, 128),
            value,
        )
        assert (c.encoder.name, c.encoder.width, c.env.variant, c.env.easy) == ("cnn", 128, "grid", True)
        assert c.env.obs == "pixels"
    differ = [(c.env.limit_is_terminal, c.encoder.scale, c.agent.head_gain) for c in (ours, theirs)]
    assert differ == [(False, True, 0.01), (True, False, 1.414)]
    if size == "eta":
        assert (theirs.memory.basis, theirs.memory.channels) == ("reference", 2)


def test_cartpole_ends_on_its_budget_with_everything_at_zero():
    (c,) = resolve("cartpole/mlp")
    assert c.final_step == c.total_steps == 100_096 and c.algorithm.anneal == ["learning_rate", "clip"]


def test_activations_are_those_that_exist():
    assert set(ACTS) == set(ACTIVATIONS)


@pytest.mark.parametrize("env", PARAMS)
def test_physical_defaults_are_those_of_the_worlds(env):
    own = {k.partition(".")[2]: s.default for k, s in settings(GROUPS["env"][env], "env.").items()}
    assert {name: own[name] for name in PARAMS[env]} == {name: p.default for name, p in PARAMS[env].items()}


def _same(group: str, name: str, registry: Registry) -> None:
    found = settings(from_signature(name, registry[name], BASES[group]))
    ours = settings(GROUPS[group][name])
    assert {k: (s.kind, s.default) for k, s in found.items()} == {k: (s.kind, s.default) for k, s in ours.items()}


@pytest.mark.parametrize("name", GROUPS["encoder"])
def test_our_encoders_obey_the_rule_of_plug_ins(name):
    _same("encoder", name, ENCODERS)


def test_every_encoder_and_environment_is_an_option():
    from romanesco.envs import ENVS

    own = lambda registry: set(inspect.getattr_static(registry, "_own"))
    assert own(ENCODERS) == set(GROUPS["encoder"]) and own(ENVS) == {*GROUPS["env"], "gymnasium"}
