"""The report: one page that says what happened, fetches nothing, and shows every foreign text as text."""

import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from romanesco.core.errors import BadInput
from romanesco.study.report import report
from romanesco.study.runs import Run

EVIL = '<img src="http://x.example/a" onerror=alert(1)> $x$ </script>'


def make(path, *, seeds=3, returns=450.0, threshold=475.0, episodes=True, success=None, status="finished", **config):
    """A run folder as training leaves it."""
    path.mkdir(parents=True)
    settings = {"preset": "cartpole/mlp", "seed": 0, "seeds": seeds, "total_steps": 400, "env": {"name": "cartpole"}}
    (path / "config.yaml").write_text(json.dumps(settings | config))
    (path / "command.txt").write_text("romanesco train cartpole/mlp\n")
    (path / "version.json").write_text(
        json.dumps({"version": 1, "romanesco": "0.1.0", "python": "3.11", "device": "cpu"})
    )
    ended = {"version": 1, "status": status, "pid": os.getpid(), "heartbeat": 4, "steps": 400, "error": None}
    (path / "status.json").write_text(json.dumps(ended))
    with open(path / "metrics.jsonl", "w") as metrics, open(path / "evals.jsonl", "w") as evals:
        for step in range(0, 401, 100):
            for seed in range(seeds):
                mean = step + seed if episodes else None
                row = {"step": step, "seed": seed, "time": step / 9, "rollout/ep_rew_mean": mean, "train/entropy": 0.5}
                metrics.write(json.dumps(row | {"train/off_policy": 1e-7}) + "\n")
                row = {"seed": seed, "step": step, "mode": "greedy", "return": [returns * step / 400 + seed] * 2}
                evals.write(json.dumps(row | {"length": [9, 9], "success": [success] * 2, "env_seed": [1, 2]}) + "\n")
    score = {"mean": returns, "episodes": 100, "success": success}
    each = {"greedy": score, "sampled": score, "absolute": None, "best_step": 400, "steps_to_threshold": None}
    results = {"version": 1, "task": path.parent.parent.name, "agent": path.parent.name, "steps": 400, "budget": 400}
    results |= {"seeds": [{"seed": i, "frozen_at": None, **each} for i in range(seeds)], "threshold": threshold}
    (path / "results.json").write_text(json.dumps(results | {"iqm": returns, "interval": [returns, returns]}))
    return Run(path)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs" / "cartpole"


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.source = [], "", path.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_one_run_is_a_page_and_figures_in_its_folder(root):
    run = make(root / "mlp" / "R1", seeds=10)
    path = report([run])
    assert path == run.path / "report.html"
    page = Page(path)
    assert "cartpole/mlp: IQM return 450" in page.text and "10 seeds" in page.text and "475" in page.text
    for figure in run.path.glob("figures/*.svg"):
        ET.parse(figure)
    assert len(list(run.path.glob("figures/*.svg"))) >= 2
    assert path.stat().st_size < 400_000


def test_the_page_fetches_nothing_and_runs_nothing(root):
    page = Page(report([make(root / "mlp" / "R1")]))
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    links = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "xlink:href")]
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"url\((?!#|[\"']?#)|@import", page.source)


@pytest.mark.parametrize("many", [False, True])
def test_foreign_text_is_shown_as_text(root, tmp_path, many):
    """In the run's name, agent, configuration, command, error and versions; also in figures and their legends."""
    name = EVIL.replace("/", "-")
    evil = make(root / f"{name} agent" / name, status="failed", note=EVIL)
    (evil.path / "command.txt").write_text(EVIL)
    (evil.path / "version.json").write_text(json.dumps({"romanesco": EVIL, "device": EVIL, "git": {"commit": EVIL}}))
    (evil.path / "status.json").write_text(json.dumps({"status": "failed", "pid": 1, "steps": 1, "error": EVIL}))
    runs = [evil, make(root / "mlp" / "R1")][: 1 + many]
    page = Page(report(runs, to=tmp_path / "page.html"))
    assert not {"img", "script"} & {tag for tag, _ in page.tags}
    assert not [k for _, attrs in page.tags for k in attrs if k.startswith("on")]
    assert EVIL in page.text and name in page.text


def test_the_page_names_what_limits_trust(root):
    run = make(root / "mlp" / "R1", seeds=3)
    lines = (run.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    lines[4] = b"\0" * 4096 + b"\n"
    lines[6] = lines[6].replace(b"1e-07", b"0.02")
    (run.path / "metrics.jsonl").write_bytes(b"".join(lines))
    text = Page(report([Run(run.path)])).text
    assert "fewer than 10" in text and "metrics.jsonl line 5" in text and "off_policy reached 2.0e-02" in text
    assert "not for vehicles" in text


def test_a_frozen_seed_is_named_and_left_out(root):
    run = make(root / "mlp" / "R1", seeds=3)
    results = json.loads((run.path / "results.json").read_text())
    results["seeds"][1] |= {"greedy": None, "sampled": None, "frozen_at": 200}
    (run.path / "results.json").write_text(json.dumps(results))
    text = Page(report([Run(run.path)])).text
    assert "Seed 1 was frozen at step 200" in text and "n is 2" in text and "over 2 seeds" in text


def test_no_episode_yet_is_a_sentence_and_no_number(root):
    text = Page(report([make(root / "mlp" / "R1", episodes=False)])).text
    assert "No training episode has finished yet" in text and not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_a_run_that_has_just_begun_has_a_page(root):
    folder = root / "mlp" / "R1"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\nseeds: 2\ntotal_steps: 100\n")
    assert "no evaluation yet" in Page(report([Run(folder)])).text


def test_one_seed_has_no_interval(root):
    text = Page(report([make(root / "mlp" / "R1", seeds=1)])).text
    assert "IQM return 450 over 1 seed" in text


def test_success_is_reported_where_the_task_has_it(root):
    assert "success 100 %" in Page(report([make(root / "mlp" / "R1", success=1.0)])).text


def test_several_runs_share_one_page_beside_their_root(root, tmp_path):
    runs = [make(root / "mlp" / "R1"), make(root / "gru" / "R2", returns=490.0)]
    path = report(runs)
    assert path.parent == tmp_path / "reports"
    text = Page(path).text
    assert "cartpole/gru has an IQM return of 490" in text and "cartpole/mlp of 450" in text
    assert text.count("finished") >= 2 and "No difference is tested here" in text
    assert not (runs[0].path / "report.html").exists()


def test_two_reports_of_one_second_do_not_meet(root):
    runs = [make(root / "mlp" / "R1"), make(root / "gru" / "R2")]
    assert report(runs) != report(runs)


def test_the_same_run_gives_the_same_page(root, tmp_path):
    run = make(root / "mlp" / "R1")
    one, two = (report([run], to=tmp_path / f"{i}.html").read_text() for i in range(2))
    assert one == two


def test_a_folder_as_target_is_refused(root, tmp_path):
    with pytest.raises(BadInput, match="a folder"):
        report([make(root / "mlp" / "R1")], to=tmp_path)
