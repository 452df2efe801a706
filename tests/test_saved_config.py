"""Saved configurations, resumed ones, help, plug-ins, and the programs around us."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from configs import one, written

from romanesco.core.errors import BadInput
from romanesco.envs.table import LIBRARIES
from romanesco.lab import catalog, files
from romanesco.lab.compose import resume_overrides
from romanesco.lab.config import schema
from romanesco.lab.files import from_yaml, to_yaml
from romanesco.lab.options import GROUPS, Memory
from romanesco.lab.plugins import from_signature
from romanesco.lab.worlds import TMaze


def test_config_to_yaml_to_config_is_the_identity():
    config = one("name=1e3", "root=räum: #", "algorithm.adam_eps=1e-12", "algorithm.value_cost=1e20")
    assert from_yaml(to_yaml(config)) == config
    again = one(preset="quickstart", objects=frozenset({"env", "memory", "encoder"}))
    assert from_yaml(to_yaml(again)) == again


def test_any_reader_of_yaml_finds_numbers():
    read = yaml.safe_load(to_yaml(one("total_steps=1e4", "algorithm.learning_rate=1e-4", "algorithm.adam_eps=1e-8")))
    assert read["total_steps"] == 10000 and isinstance(read["total_steps"], int)
    assert (read["algorithm"]["learning_rate"], read["algorithm"]["adam_eps"]) == (1e-4, 1e-8)


def test_a_saved_configuration_is_a_config_file(tmp_path):
    config = one("num_envs=4", "total_steps=1000", "memory=gru")
    assert one(preset=None, config_file=written(tmp_path, to_yaml(config))) == config


def test_a_saved_file_with_an_unknown_key_is_refused():
    with pytest.raises(BadInput, match="clap"):
        from_yaml(to_yaml(one()).replace("  clip:", "  clap:"))


@pytest.mark.parametrize(
    "change", ["algorithm.learning_rate=1e-5", "algorithm.horizon=64", "num_envs=16", "seed=7", "memory=gru", "name=x"]
)
def test_a_resumed_run_keeps_what_it_is(change):
    saved = one("name=a")
    with pytest.raises(BadInput) as caught:
        resume_overrides(saved, [change])
    key, asked = change.split("=")
    before = saved.to_dict()
    for part in key.split("."):
        before = before[part]
    before = before["name"] if isinstance(before, dict) else before
    message = str(caught.value)
    assert all(
        word in message for word in (key, str(before), asked.replace("1e-5", "1e-05"), "total_steps", "init_from")
    )


def test_a_resumed_run_may_get_more_seeds_other_intervals_and_devices():
    new = resume_overrides(
        one(), ["seeds=20", "log.every=2%", "checkpoint.keep=1", "run.grace=1", "devices=2", "num_envs=8"]
    )
    assert (new.seeds, new.log.every, new.checkpoint.keep, new.devices) == (20, 2001, 1, 2)
    with pytest.raises(BadInput, match="seeds=3"):
        resume_overrides(one(), ["seeds=3"])


def test_a_resumed_run_takes_one_plain_value_a_key():
    for change in ("seeds=11,12", "seeds=${seed}", "sedes=11"):
        with pytest.raises(BadInput, match=change.split("=")[0]):
            resume_overrides(one(), [change])


def test_a_longer_budget_under_a_schedule_is_warned_of():
    longer = resume_overrides(one(), ["total_steps=1e5"])
    assert longer.updates == 391 and any("schedule" in note for note in longer.notes)
    assert not resume_overrides(one("algorithm.anneal=[]"), ["total_steps=102400"]).notes


def test_every_leaf_has_help_and_a_default_that_it_allows():
    for group, options in GROUPS.items():
        for name, cls in options.items():
            for leaf in schema({group: cls}).values():
                assert leaf.rule.help
                asked = leaf.key == "env.id" and name in LIBRARIES  # `env=LIBRARY:ID` says it
                assert asked or leaf.convert(leaf.default) == leaf.default


def test_the_list_is_strict_json_and_names_everything():
    data = json.loads(json.dumps(catalog.listing(), allow_nan=False))
    assert {row["name"] for row in data["memories"]} == set(GROUPS["memory"])
    assert {row["name"] for row in data["presets"]} == set(files.presets())
    assert data["envs"][0]["settings"][0].keys() >= {"key", "type", "default", "least", "most", "choices", "help"}


def test_help_of_a_preset_prints_every_key_with_its_value():
    text = catalog.help_text("quickstart")
    assert "env=tmaze" in text and "memory.head_size" in text and "1% " in text and text.isascii()
    assert all(key in text for key in schema({"env": TMaze}))


class Mine:
    """A cell of somebody else."""

    def __init__(self, size: int, *, depth: Annotated[int, {"least": 2}] = 3, act: str = "tanh", key):
        del size, depth, act, key


def test_a_plug_in_s_settings_are_its_keyword_only_parameters():
    option = from_signature("mine", Mine, Memory)
    leaves = {k: s for k, s in schema({"memory": option}).items() if k.startswith("memory.")}
    assert list(leaves) == ["memory.depth", "memory.act"] and option.name == "mine"
    with pytest.raises(BadInput, match="at least 2"):
        leaves["memory.depth"].convert(1)


HOST = """
import sys, time
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer
from romanesco.lab.compose import resolve
OmegaConf.register_new_resolver("mine", lambda: 1)
ConfigStore.instance().store(name="schema", node={"theirs": 1})
with initialize_config_dir(sys.argv[1], version_base=None):
    before = dict(Singleton._instances), dict(BaseContainer._resolvers), GlobalHydra.instance().config_loader()
    repo = dict(ConfigStore.instance().repo)
    for said in ([], ["seed=${seeds}"], ["algorithm.gamma=2"], ["seed=${seed}"]):
        try: resolve("cartpole/mlp", said)
        except ValueError: pass
    assert all(Singleton._instances[cls] is made for cls, made in before[0].items())
    assert dict(BaseContainer._resolvers) == before[1] and GlobalHydra.instance().config_loader() is before[2]
    assert ConfigStore.instance().repo == repo
assert not GlobalHydra.instance().is_initialized()
resolve("cartpole/mlp")
print("kept")
"""

LIGHT = """
import sys
from romanesco.lab import catalog
from romanesco.lab.compose import resolve
try: resolve("cartpole/mlp", ["algorithm.gama=1"])
except ValueError: pass
catalog.overview(), catalog.help_text("quickstart"), resolve("cartpole/gru")
print(*(m for m in sys.modules if m.split(".")[0] in ("jax", "jaxlib", "equinox", "gymnax")))
"""


def in_a_process(program: str, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_host_program_s_hydra_is_left_as_it_was(tmp_path):
    assert in_a_process(HOST, str(tmp_path)) == "kept"


def test_answers_import_no_jax():
    assert in_a_process(LIGHT) == ""
