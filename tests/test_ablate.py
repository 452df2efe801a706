"""Controls change what they say and nothing else; an ablation trains each once, goes on, and compares all with one."""

import json

import pytest

from romanesco.cli import run
from romanesco.core.errors import BadInput
from romanesco.lab.ablate import CONTROLS, FULL, arms
from romanesco.lab.options import CONTROLS as CHOICES

ENCODER = {"uniform", "frozen_qk", "mlp_matched", "no_residual"}


def test_controls_change_one_thing():
    made = arms("tmaze/agalite", [name for name in CONTROLS if name not in ENCODER], ["seeds=3"])
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


@pytest.mark.slow
def test_an_ablation_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = ["memory.heads=1", "memory.head_size=4", "encoder.width=8", "num_envs=4", "algorithm.horizon=8"]
    words = ["quickstart", "--controls", "eta1", "--name", "t", "--json", "total_steps=64", "seeds=2", "eval.every=64"]
    assert run(["ablate", *words, *sizes, "eval.final_episodes=2", "eval.episodes=2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in told["arms"]] == [FULL, "eta1"]
    assert [(pair["a"], pair["b"]) for pair in told["pairs"]] == [(FULL, "eta1")]
    assert told["models"]["eta1"]["parameters"] < told["models"][FULL]["parameters"]
    before = (tmp_path / "runs/quickstart/agalite/t-full/metrics.jsonl").stat().st_mtime_ns
    assert run(["ablate", *words, *sizes, "eval.final_episodes=2", "eval.episodes=2"]) == 0
    assert (tmp_path / "runs/quickstart/agalite/t-full/metrics.jsonl").stat().st_mtime_ns == before
    assert run(["ablate", *words, *sizes, "eval.final_episodes=2", "eval.episodes=2", "algorithm.gamma=.9"]) == 2
    assert "a run of other settings" in capsys.readouterr().err
