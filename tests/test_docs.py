"""README and docs say what is true: links lead somewhere, commands parse, tables and examples are what runs."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from romanesco import cli
from romanesco.lab.compose import changed_world, resolve

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}

LINK = re.compile(r"\]\(([^)\s]+)\)|\{literalinclude\} (\S+)")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python -m )?romanesco [^`]+)`")
UNQUOTED = re.compile(r"""'[^']*'|"[^"]*"|(?P<pattern>[][*?{}<>()#;|&$`])""")
PLACES = {"PRESET": "quickstart", "RUN": "latest", "FILE": "my.yaml", "MODULE:NAME": "my_memory:Leaky"}


def commands(text: str) -> list[str]:
    """Everything that begins with `romanesco`: lines of shell blocks, prompts or not, and code in a sentence."""
    shells = [block for language, block in FENCE.findall(text) if language in ("sh", "console")]
    lines = [line.removeprefix("$ ") for block in shells for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    found = [re.sub(r"^\S*/romanesco", "romanesco", part) for part in parts]
    return [line for line in found if line.startswith("romanesco ")] + INLINE.findall(text)


def test_the_readme_has_its_parts_in_order():
    headings = ("Five minutes", "What there is", "Extend it", "Cite", "Licence", "For research and education")
    parts = ["![", "<!-- install -->", "<!-- tests -->", *(f"## {heading}" for heading in headings)]
    places = [TEXT["README.md"].index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["install", "tests"])
def test_a_command_of_the_readme_is_one_line_in_its_own_environment(name):
    inside = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```\n<!-- /{name} -->", TEXT["README.md"], re.DOTALL)
    assert inside
    (line,) = inside[1].splitlines()
    assert line.startswith("python3 -m venv ")
    env = line.split()[3]
    assert all(f"{env}/bin/" in part for part in line.split("&&")[1:])


@pytest.mark.parametrize("page", TEXT)
def test_relative_links_lead_somewhere(page):
    targets = [a or b for a, b in LINK.findall(TEXT[page])]
    local = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    assert not [target for target in local if not (ROOT / page).parent.joinpath(target).exists()]


ALL = sorted({command for text in TEXT.values() for command in commands(text)})


@pytest.mark.filterwarnings("ignore:basis=reference")  # the published presets are warned of
@pytest.mark.parametrize("command", ALL)
def test_a_command_parses(command, capsys):
    first, *words = shlex.split(command.removeprefix("python -m "))
    assert first == "romanesco"
    name, *rest = [PLACES.get(word, word) for word in words]
    if name == "train" and not {"--help", "--resume", "--config"} & set(rest) and "init_from=RUN" not in rest:
        status, said = cli.run([name, *rest, "--dry-run"]), capsys.readouterr().err
        if status and "pip install" in said:
            pytest.skip(said)
        assert status == (2 if "coridor" in command else 0), said
        return
    if rest == ["--help"]:
        assert cli.run([name, *rest]) == 0
        return
    made = typer.main.get_command(cli.app)
    context = made.commands[name].make_context(name, rest)
    if name == "eval":
        (run,) = resolve("cartpole/mlp" if "env.length=2" in rest else "quickstart")
        changed_world(run, [word for word in context.args if "KEY=VALUE" not in word])


@pytest.mark.parametrize("command", ALL)
def test_a_command_means_the_same_in_any_shell(command):
    """An interactive zsh takes brackets for patterns, and a comment for words."""
    assert not [m["pattern"] for m in UNQUOTED.finditer(command) if m["pattern"]]


def test_commands_are_found():
    assert len(ALL) > 15
    assert commands("```console\n$ romanesco runs\nrun status\n```\n`romanesco list`") == [
        "romanesco runs",
        "romanesco list",
    ]


def test_help_teaches(capsys, monkeypatch):
    """Every command says how it is used, in a terminal of 80 columns, and none of their summaries is cut off."""
    monkeypatch.setenv("COLUMNS", "80")

    def said(*words: str) -> str:
        assert cli.run([*words, "--help"]) == 0
        return capsys.readouterr().out

    summaries = re.findall(r"^  (\w+) {2,}(\S.*)$", said().partition("Commands:")[2], re.MULTILINE)
    assert {"train", "eval", "report"} <= {name for name, _ in summaries} and "romanesco train quickstart" in said()
    assert not [name for name, summary in summaries if summary.endswith("...")]
    assert not [name for name, _ in summaries if not re.match(rf"Usage: .*\b{name}\b", said(name))]
    usage, _, names = said("train").partition("\npresets\n")
    assert "--resume RUN" in usage and "quickstart" in names and max(map(len, usage.splitlines())) <= 80


def test_every_command_is_in_the_table():
    explained = re.findall(r"^\| `romanesco (\w+)", TEXT["docs/reference/commands.md"], re.MULTILINE)
    assert set(typer.main.get_command(cli.app).commands) == set(explained)


@pytest.mark.parametrize("what", ["tables", "figures"])
def test_tables_and_figures_are_those_of_the_results(what):
    check = [sys.executable, f"benchmarks/{what}.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("target", ["my_memory:Leaky", "my_world:corridor", "my_gym_world:Reach"])
def test_an_example_obeys_the_laws(target):
    check = [sys.executable, "-m", "romanesco", "check", target]
    done = subprocess.run(check, cwd=ROOT / "examples", capture_output=True, text=True)
    assert done.returncode == 0 and "holds" in done.stdout, done.stdout + done.stderr


TINY = {"total_steps": 1024, "num_envs": 4, "seeds": 1}
SHORT = ["algorithm.horizon=32", "eval.episodes=2", "eval.final_episodes=2"]


@pytest.mark.slow
def test_the_examples_train(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import my_memory
    import my_world

    import romanesco as rm

    env, memory = my_world.corridor, my_memory.Leaky
    run = rm.train(None, *SHORT, env=env, memory=memory, root=str(tmp_path), **TINY)
    assert run.results["seeds"]
    assert rm.load(run.path, env=env, memory=memory)(np.array([1.0, 0.0])).shape == ()


@pytest.mark.slow
def test_the_examples_of_loss_and_host_train(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import my_gym_world
    import my_loss

    import romanesco as rm

    run = rm.train(None, *SHORT, env=my_gym_world.Reach, aux=[my_loss.small_features], root=str(tmp_path), **TINY)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert all(row["train/feature_size"] > 0 for row in rows)
    assert rm.load(run.path)(np.array([4.0, 8.0])) in (0, 1)


@pytest.mark.slow
def test_every_metric_is_explained(tmp_path):
    import romanesco as rm

    run = rm.train("cartpole/mlp", *SHORT, root=str(tmp_path), **TINY)
    page = TEXT["docs/reference/metrics.md"]
    explained = set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert {key for row in rows for key in row} == explained
    evals = json.loads((run.path / "evals.jsonl").read_text().splitlines()[0])
    assert all(f"`{key}`" in page for key in evals)


@pytest.mark.slow
def test_every_file_of_a_run_is_explained(tmp_path):
    import romanesco as rm

    run = rm.train("cartpole/mlp", *SHORT, root=str(tmp_path), **TINY)
    page = TEXT["docs/reference/files.md"]
    names = {path.name for path in run.path.iterdir()} - {"run.lock"}
    assert not [name for name in names if f"`{name}" not in page]
