"""Controls change what they say and nothing else; an ablation trains each once, goes on, and compares all with one."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from romanesco.agent.agent import build
from romanesco.agent.encoders.attention import Attention
from romanesco.agent.encoders.choices import CONTROLS as CHOICES
from romanesco.cli import run
from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.lab.ablate import CONTROLS, FULL, arms
from romanesco.lab.build import memory_maker
from romanesco.lab.heads import silenced
from romanesco.memory import Stack, Window

ENCODER = {"uniform", "frozen_qk", "mlp_matched", "no_residual"}
OTHER = {"state_matched", "heads"}


def test_controls_change_one_thing():
    made = arms("tmaze/agalite", [name for name in CONTROLS if name not in ENCODER | OTHER], ["seeds=3"])
    full = made[FULL].to_dict()
    changed = {name: {k: v for k, v in c.to_dict()["memory"].items() if full["memory"].get(k) != v}
               for name, c in made.items() if c.memory.name == "agalite"}  # fmt: skip
    assert changed == {
        FULL: {}, "value_only": {"channels": 1}, "reference_basis": {"basis": "reference"}, "eta1": {"eta": 1},
        "softplus": {"feature_map": "softplus"}, "residual_gate": {"gate": "residual"},
    }  # fmt: skip
    exact, none = made["exact"].memory, made["no_memory"].memory
    assert (exact.name, exact.eta, exact.heads, exact.head_size, exact.ffn) == ("galite", 4, 4, 64, 128)
    assert (none.name, none.layers) == ("none", 0)
    for config in made.values():
        assert {k: v for k, v in config.to_dict().items() if k != "memory"} == {
            k: v for k, v in full.items() if k != "memory"
        }


def test_encoders_offer_controls_of_their_own():
    made = arms("cartpole/attention", sorted(ENCODER))
    assert {name: config.encoder.control for name, config in made.items()} == {
        FULL: "none", **{name: name for name in ENCODER}
    }  # fmt: skip
    assert set(CHOICES) - {"none"} == ENCODER


def test_a_gru_of_as_much_state():
    made = arms("quickstart", ["state_matched"])
    carry = jax.eval_shape(memory_maker(made[FULL].memory)(made[FULL].encoder.width, key=jax.random.key(0)).init_carry)
    numbers = sum(x.size for x in jax.tree.leaves(carry) if x.dtype == np.float32)
    assert (made["state_matched"].memory.name, made["state_matched"].memory.units) == ("gru", numbers)
    with pytest.raises(BadInput, match=r"state of memory=agalite holds 25,600 numbers.*memory.units=4096`, 6 times"):
        arms("tmaze/agalite", ["state_matched"])


def test_a_silenced_head_gives_nothing():
    encoder = lambda space, key: Attention(space, width=8, heads=2, key=key)
    memory = lambda size, key: Stack.of(Window, size=size, layers=1, heads=4, window=3, key=key)
    agent = build(jax.random.key(0), Box((4,)), Discrete(2), encoder=encoder, memory=memory)
    without = silenced(agent)
    assert [*without][1:4] == [
        "encoder.reader.blocks[0].attention head 2", "encoder.reader.pool head 1", "encoder.reader.pool head 2"
    ]  # fmt: skip
    assert len(without) == 2 + 2 + 4
    pooled = without["encoder.reader.pool head 2"].encoder(jnp.ones(4))
    assert (pooled[4:] == 0).all() and (pooled[:4] == agent.encoder(jnp.ones(4))[:4]).all()
    cell, whole = without["memory.layers[0].cell head 3"].memory.layers[0].cell, agent.memory.layers[0].cell
    a = jax.random.normal(jax.random.key(1), (4, 2))
    assert (cell._leave(a) == whole._leave(a.at[2].set(0))).all()


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        (["exakt"], "control `exakt`; did you mean `exact`"),
        (["eta1", "eta1"], "named twice"),
        (
            ["eta1"],
            r"control `eta1` needs a memory whose eta is not 1 already; this run has memory=gru .*fit: no_memory",
        ),
    ],
)
def test_a_control_that_does_not_fit_is_named(controls, said):
    with pytest.raises(BadInput, match=said):
        arms("tmaze/gru", controls)


def test_value_only_is_a_control_of_the_published_basis_too():
    made = arms("tmaze/agalite_published", ["value_only"])["value_only"].memory
    assert (made.basis, made.channels) == ("quadrature", 1)


def test_a_picture_needs_arms():
    assert run(["ablate", "tmaze/small", "--controls", "heads", "--plot", "a.svg"]) == 2


@pytest.mark.slow
def test_an_ablation_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = ["memory.heads=1", "memory.head_size=4", "encoder.width=8", "num_envs=4", "algorithm.horizon=8"]
    words = ["quickstart", "--controls", "eta1,heads", "--name", "t", "--json"]
    words += ["total_steps=64", "seeds=2", "eval.every=64", "eval.episodes=2", "eval.final_episodes=20", *sizes]
    assert run(["ablate", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in told["arms"]] == [FULL, "eta1"]
    assert [(pair["a"], pair["b"]) for pair in told["pairs"]] == [(FULL, "eta1")]
    assert {(one["a"], one["b"], one["seeds"]) for one in told["heads"]} == {
        (FULL, f"memory.layers[{n}].cell head 1", 2) for n in range(len(told["heads"]))
    }
    assert told["models"]["eta1"]["parameters"] < told["models"][FULL]["parameters"]
    before = (tmp_path / "runs/quickstart/agalite/t-full/metrics.jsonl").stat().st_mtime_ns
    assert run(["ablate", *words]) == 0
    assert (tmp_path / "runs/quickstart/agalite/t-full/metrics.jsonl").stat().st_mtime_ns == before
    assert run(["ablate", *words, "algorithm.gamma=.9"]) == 2
    assert "a run of other settings" in capsys.readouterr().err
