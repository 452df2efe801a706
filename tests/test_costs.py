"""What a memory costs: counts that are known, and a rank that is what it says."""

import jax
import numpy as np
import pytest

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete
from romanesco.lab.compose import resolve
from romanesco.lab.costs import _shown, cost, costs, effective_rank, models
from romanesco.memory import AGaLiTe
from romanesco.memory.slots import read

SMALL = ["memory.layers=1", "memory.heads=2", "memory.head_size=4", "encoder.width=8", "seeds=1"]


def of(preset, *words):
    return cost("x", resolve(preset, [*words])[0])


@pytest.mark.filterwarnings("ignore:basis=reference")
def test_the_published_basis_is_flagged():
    published = of("tmaze/agalite_published", *SMALL)
    ours = of("tmaze/agalite", *SMALL)
    assert (published.channels, published.flag) == ("1/2", "rank 1, 2 asked for")
    assert (ours.channels, ours.flag) == ("5/5", "")
    assert published.parameters == ours.parameters and published.state < ours.state
    assert published.effective_rank == pytest.approx(1.0) and 1 < ours.effective_rank <= ours.full_rank == 4


@pytest.mark.parametrize(("memory", "most"), [("galite", 4), ("mlstm", 4), ("gated_deltanet", 4)])
def test_matrix_states_have_a_rank(memory, most):
    found = of(f"tmaze/{memory}", *SMALL)
    assert 1 < found.effective_rank <= found.full_rank == most and found.channels == ""


def test_slots_stand_for_the_matrix_that_they_are_read_as():
    """sum_i w_i v_i (k_i . q) is the matrix times the query."""
    cell, xs = AGaLiTe.example(jax.random.key(0), 9)
    (state, phase), _ = cell.sequence(cell.init_carry(), xs, np.zeros(9, bool))
    q, low_q = np.random.default_rng(0).random((2, 4)), np.random.default_rng(1).random((2, 2))
    query = (low_q[:, :, None] * q[:, None]).reshape(2, -1)
    divisor = np.einsum("hced,hd,he->h", state.keys, q, low_q)
    wanted = np.einsum("hdf,hf->hd", cell.matrices((state, phase)), query) / divisor[:, None]
    np.testing.assert_allclose(read(cell.form, state, q, low_q), wanted, rtol=1e-3)


def test_a_gru_is_counted():
    found = of("tmaze/gru", "memory.units=8", "seeds=1")
    assert found.parameters == 3 * 8 * (16 + 8 + 2)
    assert (found.state, found.channels, found.effective_rank) == (8, "", None)
    assert found.mflop == pytest.approx(2 * 3 * 8 * (16 + 8) / 1e6, rel=0.5)
    assert found.acting_ms > 0 and found.learning_ms > 0


def test_any_preset_is_measured_on_what_its_world_shows():
    found = of("cartpole/cross", "encoder.width=8", "memory=gru", "memory.units=4", "seeds=1")
    assert found.state == 4 and found.learning_ms > found.acting_ms > 0
    space = {"image": Box((3, 2), np.uint8, 0, 255), "n": Discrete(5), "allowed": Box((2,), bool, 0, 1)}
    seen = _shown(space, 7)
    assert {k: (x.shape, x.dtype) for k, x in seen.items()} == {
        "image": ((7, 3, 2), np.uint8), "n": ((7,), np.int32), "allowed": ((7, 2), bool)
    }  # fmt: skip


def test_effective_rank_of_known_matrices():
    """Of k equal singular values it is k; of one, 1; of none, 0."""
    eye = lambda k: np.diag([2.0] * k + [0.0] * (5 - k))
    np.testing.assert_allclose(effective_rank(np.stack([eye(k) for k in range(6)])), range(6))
    p = np.array([0.7, 0.2, 0.1])
    assert effective_rank(np.diag(3 * p)) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_every_memory_of_the_tmaze_is_listed():
    assert {"tmaze/agalite", "tmaze/gtrxl128", "tmaze/gru", "tmaze/none"} <= set(models())


def test_equal_models_are_measured_once(monkeypatch):
    monkeypatch.setattr("romanesco.lab.costs.cost", lambda name, config: (name, config.memory.name))
    assert list(costs(["tmaze/gru", "tmaze/none", "tmaze/gru_published"])) == [
        ("gru, gru_published", "gru"),
        ("none", "none"),
    ]


@pytest.mark.parametrize(
    ("word", "said"), [("env.corridor_length=9", "no setting of a memory"), ("memory.chanels=3", "no memory has")]
)
def test_what_is_no_setting_is_named(word, said):
    with pytest.raises(BadInput, match=said):
        next(costs(["tmaze/agalite"], [word]))
