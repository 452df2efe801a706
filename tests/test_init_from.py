"""Fine-tuning: a new run begins with what another has learned, with all of it or with parts, and needs it no more."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from untrained import write

import romanesco as rm
from romanesco import cli
from romanesco.core.errors import BadInput
from romanesco.lab import initial, weights
from romanesco.lab.build import Objects
from romanesco.lab.compose import resolve
from romanesco.lab.config import PARTS
from romanesco.lab.devices import numerics
from romanesco.lab.run import programs_of, world_of

pytestmark = pytest.mark.slow

TINY = ["num_envs=2", "algorithm.horizon=8", "algorithm.minibatches=1", "algorithm.epochs=1", "eval.every=never",
        "agent.actor_hidden=[]", "agent.critic_hidden=[]", "encoder.width=4", "log.sinks=[jsonl]", "log.git_diff=false",
        "checkpoint.every=16", "encoder=linear", "env=probe4"]  # fmt: skip


def train(root: Path, *words: str, **fields):
    return rm.train("cartpole/mlp", *TINY, *words, root=str(root), **fields).path


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("runs") / "probe4/mlp/old", "cartpole/mlp", *TINY, "algorithm.normalize=obs")


def begun(source: Path, *words: str, seeds: int = 2):
    """States and seeds as a run from `source` begins, without training."""
    (config,) = resolve(
        "cartpole/mlp", [*TINY, "algorithm.normalize=obs", f"init_from={source}", *words], fields={"seeds": seeds}
    )
    with numerics(config):
        programs = programs_of(config, world_of(config, Objects()), Objects(), jax.devices()[:1])
        config, found = initial.settle(config, programs.like.learner.actor)
        programs.compile(range(seeds), begin=True)
        fresh = programs.begin(programs.keys(range(seeds)), [programs.setup] * seeds)
        programs.close()
        assert found is not None
        return fresh, [found.begin(seed, state) for seed, state in enumerate(fresh)]


def bits(tree) -> list[bytes]:
    leaves = jax.tree.leaves(tree)
    return [
        np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x).tobytes()
        for x in leaves
    ]


def by_part(actor) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {part: [] for part in PARTS}
    for path, x in jax.tree_util.tree_leaves_with_path(actor):
        found[initial.part_of(jax.tree_util.keystr(path))].append(np.asarray(x).tobytes())
    return found


def test_every_array_has_a_part():
    names = [
        "agent.encoder.layers[0].weight",
        "agent.memory.cells[1]['a']",
        "agent.actor.layers[0].bias",
        "agent.log_std",
    ]
    assert [initial.part_of(f".{name}") for name in names] == ["encoder", "memory", "actor", "actor"]
    assert initial.part_of("normalizer.obs['x'].mean") == "normalizer" and initial.part_of("agent.critic.x") == "critic"


def test_parameters_and_normalizer_are_the_sources_and_the_rest_is_fresh(source):
    old, _ = weights.of_run(source)
    fresh, states = begun(source)
    for seed, (before, state) in enumerate(zip(fresh, states, strict=True)):
        arrays = {jax.tree_util.keystr(p)[1:]: x for p, x in jax.tree_util.tree_leaves_with_path(state.learner.actor)}
        assert arrays.keys() == old[seed].arrays.keys()
        assert all((np.asarray(x) == old[seed].arrays[name]).all() for name, x in arrays.items())
        assert bits(state.learner.opt_state) == bits(before.learner.opt_state)
        assert bits(state.streams) == bits(before.streams)
        assert jax.tree.structure(state) == jax.tree.structure(before)
        pointers = [
            x.unsafe_buffer_pointer() for x in jax.tree.leaves((state.learner.actor, state.streams.carry)) if x.size
        ]
        assert len(set(pointers)) == len(pointers), "leaves that are donated may not share a buffer"


def test_only_the_named_parts_are_taken(source):
    fresh, states = begun(source, "init_parts=[encoder,normalizer]", seeds=1)
    before, after = by_part(fresh[0].learner.actor), by_part(states[0].learner.actor)
    assert {part for part in PARTS if before[part] != after[part]} == {"encoder", "normalizer"}


def test_a_run_says_what_it_began_with_and_resumes_without_it(tmp_path):
    old = write(tmp_path / "a/probe4/mlp/old", "cartpole/mlp", *TINY)
    out = tmp_path / "out"
    assert cli.run(["export", str(old), "--to", str(out), "--seed", "1"]) == 0
    whole = train(tmp_path / "whole", "total_steps=64", "algorithm.anneal=[]", f"init_from={out}", seeds=2)
    said = json.loads((whole / "init.json").read_text())
    assert (said["source"], said["parts"]) == (str(out.resolve()), list(PARTS))
    assert [row["seed"] for row in said["seeds"].values()] == [1, 1], "an export has one seed, from which all begin"
    assert f"init_from: {out.resolve()}" in (whole / "config.yaml").read_text()
    assert {row["step"] for row in said["seeds"].values()} == {256}

    half = train(tmp_path / "half", "total_steps=32", "algorithm.anneal=[]", f"init_from={out}", seeds=2)
    out.rename(tmp_path / "gone")
    rm.train("total_steps=64", resume=half)
    one, two = (weights.of_run(path)[0] for path in (whole, half))
    assert all(one[seed].sha256 == two[seed].sha256 and one[seed].step == 64 for seed in (0, 1))
    with pytest.raises(BadInput, match="init_from: no run"):
        rm.train("seeds=3", resume=half)
    (tmp_path / "gone").rename(out)
    rm.train("seeds=3", resume=half)
    assert list(json.loads((half / "init.json").read_text())["seeds"]) == ["0", "1", "2"]


def test_more_seeds_of_a_source_that_has_changed_are_refused(tmp_path, source):
    path = shutil.copytree(source, tmp_path / "probe4/mlp/old")
    run = train(tmp_path / "new", "total_steps=16", "algorithm.normalize=obs", f"init_from={path}", seeds=1)
    shutil.rmtree(path / "checkpoints/256")
    with pytest.raises(BadInput, match="has changed since"):
        rm.train("seeds=2", resume=run)


def test_a_resumed_run_keeps_its_source(tmp_path, source):
    run = train(tmp_path / "new", "total_steps=16", "algorithm.normalize=obs", f"init_from={source}", seeds=1)
    for change in ("init_from=null", "init_parts=[encoder]"):
        with pytest.raises(BadInput, match=change.split("=")[0]):
            rm.train(change, resume=run)


def test_what_does_not_fit_is_listed_path_by_path_and_can_be_left_out(source, tmp_path):
    with pytest.raises(BadInput) as caught:
        train(
            tmp_path,
            "total_steps=16",
            "algorithm.normalize=obs",
            "agent.critic_hidden=[3]",
            f"init_from={source}",
            seeds=1,
        )
    said = str(caught.value)
    assert "\n" not in said and not list(tmp_path.iterdir())
    for word in (".agent.critic.layers[0].weight: float32[3,4] is missing", "weight: saved float32[1,4]",
                 "init_parts=[encoder,memory,actor,normalizer]"):  # fmt: skip
        assert word in said
    begun(source, "agent.critic_hidden=[3]", "init_parts=[encoder,memory,actor,normalizer]", seeds=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seeds=3"], "no seed 2, only 0, 1"),
        (["init_parts=[]"], "at least one of encoder"),
        (["init_parts=[encodr]"], "did you mean `encoder`"),
        (["algorithm.normalize=none"], ".normalizer.obs.mean"),
        (["init_from=nowhere"], "no run `nowhere`"),
        (["init_from=null", "init_parts=[actor]"], "without init_from"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(words, said, source, tmp_path, capsys):
    common = [
        "cartpole/mlp",
        *TINY,
        "algorithm.normalize=obs",
        "seeds=2",
        f"init_from={source}",
        f"root={tmp_path / 'runs'}",
    ]
    last = {word.split("=")[0]: word for word in [*common, *words]}
    assert cli.run(["train", *last.values(), "--dry-run"]) == 2
    assert cli.run(["train", *last.values()]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert said in err[-1] and len(err) == 2 and not (tmp_path / "runs").exists()


def test_a_dry_run_shows_it(source, capsys):
    words = [*TINY, "algorithm.normalize=obs", "seeds=2", f"init_from={source}", "init_parts=[encoder,actor]"]
    assert cli.run(["train", "cartpole/mlp", *words, "--dry-run"]) == 0
    assert f"begins with encoder, actor of {source.resolve()}, the same seeds at step 256" in capsys.readouterr().out
