"""Maps of an agent: what they hold, what tokens are called, and the command that draws them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained

import romanesco as rm
from romanesco.agent.agent import build
from romanesco.agent.encoders.attention import Attention, Entities, Patches
from romanesco.agent.encoders.cross import Cross
from romanesco.agent.encoders.vector import Mlp
from romanesco.agent.maps import Greedy, maps, token_names
from romanesco.agent.normalize import Normalized, Normalizer
from romanesco.cli import run
from romanesco.core.spaces import Box, Discrete
from romanesco.laws.verdict import close
from romanesco.memory import MLSTM, Glimpse, MinGRU, Stack, Window

KEY, T, B, F = jax.random.key(0), 5, 2, 4
SEES = Box((F,))
FIRST = jnp.zeros((T, B), bool).at[0, 0].set(True).at[3, 1].set(True)
OBS = jax.random.normal(KEY, (T, B, F))


def agent(memory, pool="attention"):
    encoder = lambda space, key: Attention(space, width=8, heads=2, layers=2, pool=pool, key=key)
    inner = build(KEY, SEES, Discrete(2), encoder=encoder, memory=memory)
    return Normalized(Normalizer.of(SEES), inner)


def streams(actor):
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (B, *x.shape)), actor.init_carry())


def test_maps_have_one_shape_each_and_explain_is_sequence():
    stack = lambda size, key: Stack.of(Window, size=size, layers=2, heads=2, window=3, key=key)
    actor = agent(stack)
    told = jax.jit(maps)(actor, streams(actor), OBS, FIRST)
    shapes = {
        "encoder/self": (T, B, 2, 2, F, F), "encoder/pool": (T, B, 1, 2, 1, F), "memory/attention": (B, 2, 2, T, T),
        "memory/before": (B, 2, 2, T), "memory/values": (B, 2, 2, T, 4), "memory/read": (B, 2, 2, T, 4),
    }  # fmt: skip
    assert {name: x.shape for name, x in told.items()} == shapes
    rows = told["memory/attention"].sum(-1) + told["memory/before"]
    for sums in (told["encoder/self"].sum(-1), told["encoder/pool"].sum(-1), rows):
        np.testing.assert_allclose(sums, 1, rtol=1e-5)
    assert (told["memory/attention"][1, :, :, 3:, :3] == 0).all()  # stream 1 begins anew at step 3
    both = jax.jit(lambda actor, *stream: (actor.explain(*stream)[:2], actor.sequence(*stream)))
    close(*both(actor, actor.init_carry(), OBS[:, 1], FIRST[:, 1]), what="`explain` against `sequence`")


@pytest.mark.parametrize(
    ("memory", "pool", "wanted"),
    [
        (lambda size, key: MLSTM(size, heads=2, head_size=4, key=key), "mean", {"memory/signed": (B, 1, 2, T, T)}),
        (lambda size, key: Stack.of(MinGRU, size=size, layers=1, key=key), "mean", {}),
        (
            lambda size, key: Glimpse(size, memory=lambda size, key: MinGRU(size, key=key), heads=2, key=key),
            "before",
            {"memory/glimpse": (T, B, 1, 2, 1, F)},
        ),
    ],
)
def test_maps_of_a_cell_of_a_silent_memory_and_of_a_glimpse(memory, pool, wanted):
    actor = agent(memory, pool)
    told = jax.jit(maps)(actor, streams(actor), OBS, FIRST)
    assert told.pop("encoder/self").shape == (T, B, 2, 2, F, F)
    told = {name: x.shape for name, x in told.items() if name not in ("memory/before", "memory/values", "memory/read")}
    assert told == wanted


def test_tokens_have_names():
    names = ("x", "v", "angle", "spin")
    vector = lambda **settings: Attention(SEES, width=8, heads=2, key=KEY, **settings)
    assert token_names(vector(), names) == ["x", "v", "angle", "spin"]
    assert token_names(vector(tokens=[[0, 2], [1, 3]]), names) == ["x+angle", "v+spin"]
    assert token_names(vector(), names[:2]) == ["0", "1", "2", "3"]
    assert token_names(Attention(Box((3, 4)), width=8, heads=2, key=KEY)) == ["t-2", "t-1", "t"]
    assert token_names(Patches.example(KEY)[0])[:4] == ["0,0", "0,1", "0,2", "1,0"]
    assert token_names(Entities.example(KEY)[0]) == ["0", "1", "2", "3", "self"]
    assert token_names(Cross.example(KEY)[0]) == ["choice", "goal 0", "goal 1", "goal 2", "past t-1", "past t"]
    parts = {"context": Box((1,)), "state": SEES}
    cross = Cross(parts, width=8, heads=2, key=KEY)
    assert token_names(cross, ("length", *names)) == ["context length", *(f"state {name}" for name in names)]
    assert token_names(cross, names)[0] == "context 0"
    assert token_names(Mlp(SEES, key=KEY), names) == []


def test_greedy_draws_the_likeliest():
    actor = Greedy(agent(MinGRU))
    _, said = actor.step(actor.init_carry(), OBS[0, 0], jnp.array(True))
    assert all(said.dist.sample(jax.random.key(n)) == said.dist.dist.mode() for n in range(8))


SMALL = ["encoder=attention", "encoder.width=8", "encoder.heads=2", "memory.layers=1", "memory.heads=2",
         "memory.head_size=4", "num_envs=4", "algorithm.horizon=8", "curriculum=reverse"]  # fmt: skip


@pytest.mark.slow
def test_attention_from_the_command_line(tmp_path, capsys):
    path = untrained.write(tmp_path / "runs/quickstart/agalite/t", "quickstart", *SMALL)
    figure, data = tmp_path / "seen.svg", tmp_path / "seen.npz"
    assert run(["attention", str(path), "--plot", str(figure), "--data", str(data), "--steps", "6", "--seed", "1"]) == 0
    assert "memory/signed  1 x 1 x 2 x 6 x 6" in capsys.readouterr().out
    svg = figure.read_text()
    assert "<svg" in svg and "memory/signed" in svg and "head 2" in svg and "cue" in svg
    saved = np.load(data)
    assert saved["first"][0].all() and saved["memory/signed"].shape == (1, 1, 2, 6, 6)
    assert saved["encoder/pool"].shape[-1] == len(saved["tokens"])
    again = rm.attention(path, 1, steps=6)
    close(dict(again.maps), {name: saved[name] for name in again.maps}, what="the same episodes again")
    obs = np.zeros((6, 1, len(saved["tokens"])), np.float32)
    assert rm.load(path).explain(obs, saved["first"])["memory/signed"].shape == (1, 1, 2, 6, 6)
    assert run(["attention", str(path), "--plot", "seen.gif"]) == 2
    assert "ends in .svg" in capsys.readouterr().err
    assert run(["attention", str(path), "--steps", "0"]) == 2


@pytest.mark.slow
def test_what_does_not_attend_is_said(tmp_path, capsys):
    path = untrained.write(tmp_path / "runs/cartpole/mlp/t", "cartpole/mlp")
    assert run(["attention", str(path)]) == 2
    said = capsys.readouterr().err
    assert "neither encoder=identity nor memory=none attends; encoders that do are attention, patches" in said
    assert "memories agalite, galite, gtrxl, window, mlstm, gated_deltanet" in said
