"""`romanesco doctor --envs`: what works, what is missing, what is broken and why."""

import importlib.util
import json
import sys

import pytest

from romanesco import cli
from romanesco.envs.table import ROWS
from romanesco.lab import families
from romanesco.lab.families import FAMILIES, Family, examine


def test_every_world_with_an_extra_has_its_family():
    assert {row.extra for row in ROWS.values()} <= {family.extra for family in FAMILIES.values()}


def test_what_is_not_installed_is_missing_with_its_remedy(monkeypatch):
    monkeypatch.setitem(FAMILIES, "atari", Family("atari", ("no_such_module",), "atari"))
    found = examine("atari")
    assert (found["state"], found["what"]) == ("missing", 'pip install -e ".[atari]"')


def test_a_version_that_was_not_tried_is_broken(monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ['numpy<1; extra == "atari"', "jax>=99"])
    monkeypatch.setitem(FAMILIES, "atari", Family("atari", ("numpy",), "atari"))
    found = examine("atari")
    assert found["state"] == "broken" and "numpy" in found["what"] and "not <1;" in found["what"]


@pytest.mark.parametrize(
    ("program", "said"),
    [("import os; os._exit(7)", "status 7: it said nothing"), ("raise SystemExit('no screen')", "status 1: no screen"),
     ("import time; time.sleep(9)", "no answer within 0.5 s"), ("print('{}')", "status 0")],
)  # fmt: skip
def test_what_breaks_its_process_is_told(monkeypatch, tmp_path, program, said):
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    found = examine("tmaze", limit=0.5 if "sleep" in program else 60)
    assert found["state"] == "broken" and said in found["what"]


def test_unknown_families_and_lone_arguments_are_refused(capsys):
    assert cli.run(["doctor", "--envs", "ataris"]) == 2
    assert "did you mean `atari`" in capsys.readouterr().err
    assert cli.run(["doctor", "atari"]) == 2
    assert "romanesco doctor --envs atari" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["classic", "gymnasium"])
def test_a_world_is_made_stepped_and_drawn(name, capsys):
    families.main(name)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    picture = "picture 400x600" if importlib.util.find_spec("pygame") else "pygame"
    assert told["state"] == "ok", told["what"]
    assert "reset" in told["what"] and "step" in told["what"] and picture in told["what"]


@pytest.mark.slow
def test_the_command_tries_a_family_in_a_process(capsys):
    assert cli.run(["doctor", "--envs", "tmaze", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["part"] == "tmaze" and found["state"] == "ok" and found["seconds"] > 0
