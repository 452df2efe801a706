"""A report is one page that stands alone, says what it must, and can be written of any run."""

import html.parser
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from folders import evals, results, rows, write_run

from romanesco.core.errors import BadInput
from romanesco.study.claims import standing
from romanesco.study.curves import curves_of, mean_of, thousands
from romanesco.study.report import report
from romanesco.study.runs import Run
from romanesco.study.verdict import verdict, warnings

NASTY = "<img onerror=alert(1)>&\"'$x$"


class Page(html.parser.HTMLParser):
    """Tags, their attributes, and the text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data):
        self.text += data


def written(*paths, to=None) -> Page:
    return Page(report([Run(path) for path in paths], to).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path):
    """Writes runs/maze/<agent>/a."""
    return lambda agent="gru", **what: write_run(tmp_path / "runs" / "maze" / agent / "a", **what)


def test_a_report_lies_in_its_run_with_its_figures(run):
    path = run()
    assert report([Run(path)]) == path / "report.html"
    drawn = {file.stem for file in (path / "figures").iterdir()}
    assert drawn == {"evaluation", "success", "training", "learning"}
    for file in (path / "figures").iterdir():
        assert ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_report_stands_alone(run):
    page = written(run())
    assert page.tags.count("svg") == 4
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    fetched = [x for name in ("src", "href", "xlink:href") for x in page.attributes.get(name, [])]
    assert all(x.startswith("#") for x in fetched)
    assert "@import" not in page.text
    assert not re.search(r"url\((?!#)", page.text)


def test_a_report_says_where_a_run_ended_and_how_it_was_made(run):
    page = written(run(ended=results(threshold=4.0)))
    assert "maze/gru: IQM return 4.5 [4, 5] (success 100\N{NO-BREAK SPACE}%) over 2 seeds after 4k steps" in page.text
    assert "1 of 2 reached the threshold of 4, the first after 2k steps." in page.text
    assert "romanesco train maze/gru" in page.text
    assert "total_steps: 4000" in page.text
    assert "not for vehicles, medical devices" in page.text
    assert "never" in page.text  # seed 0 never reached the threshold


def test_every_string_of_a_run_is_escaped(tmp_path):
    path = write_run(tmp_path / "runs" / f"task{NASTY.replace('/', '')}" / "gru" / NASTY, ended={})
    (path / "config.yaml").write_text(f"seeds: 2\nname: '{NASTY.replace(chr(39), '')}</pre><script>'\n")
    (path / "command.txt").write_text(f"romanesco train name={NASTY}</pre><script>alert(1)</script>")
    (path / "version.json").write_text('{"romanesco": "<img onerror=1>", "device": "</main><script>"}')
    other = write_run(tmp_path / "runs" / "maze" / "gru" / "b", ended=results(task="<script>"))
    for page in (written(path), written(path, other, to=tmp_path / "both.html")):
        assert not {"img", "script"} & set(page.tags)
        assert "onerror" not in page.attributes
        assert NASTY in page.text


def test_few_seeds_are_warned_of_and_ten_are_not(run):
    page = written(run())
    assert "2 seeds: fewer than 10" in page.text
    assert "34 % (n = 5), 61 % (10) or 78 % (20) of all runs".replace(" %", "\N{NO-BREAK SPACE}%") in page.text
    assert "How far an interval can be trusted" in page.text
    assert warnings(Run(run("lstm", seeds=10))) == []


def test_disagreement_of_acting_and_replay_is_warned_of(run):
    said = warnings(Run(run(metrics=rows(off_policy=3e-4))))
    assert "off_policy reached 3.0e-04: acting and replay disagree (limit 1e-04)." in said


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_rounded_products_may_disagree_more(run, precision):
    for name, off_policy, expected in (("a", 3e-3, False), ("b", 3e-2, True)):
        path = run(name, metrics=rows(off_policy=off_policy))
        with (path / "config.yaml").open("a", encoding="utf-8") as file:
            file.write(f"precision: {precision}\n")
        assert ("(limit 1e-02)" in " ".join(warnings(Run(path)))) == expected


def test_damaged_lines_are_named(run):
    path = run()
    lines = (path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    lines[4] = b"\0" * 64 + b"\n"
    (path / "metrics.jsonl").write_bytes(b"".join(lines) + b'{"step": 45')
    assert "metrics.jsonl line 5 is damaged and skipped" in written(path).text


def test_a_frozen_seed_is_named_and_left_out(run):
    ended = results(3)
    ended["seeds"][1] |= {"greedy": None, "sampled": None, "absolute": None, "frozen_at": 2500}
    page = written(run(seeds=3, status="failed", ended=ended))
    assert "Seed 1 was frozen at step 2,500" in page.text
    assert "n is 2" in page.text
    assert "over 2 seeds" in page.text


def test_without_a_finished_episode_it_says_so(run):
    page = written(run(metrics=rows(episodes=False)))
    assert "No training episode has finished yet" in page.text


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_run_without_results_shows_its_latest_evaluation(run, status):
    page = written(run(status=status))
    assert f"maze/gru: {status} at 4k of 4k steps; latest evaluation: IQM return 4.5" in page.text
    assert "There is no final evaluation yet." in page.text


def test_a_running_run_does_not_show_the_results_before_it_was_resumed(run):
    old = results()
    old["seeds"][0]["greedy"]["mean"] = old["seeds"][1]["greedy"]["mean"] = -7.0
    assert "IQM return 4.5" in verdict(Run(run(status="running", ended=old)), "x")


@pytest.mark.parametrize("env", ["tmaze", "cartpole"])
def test_a_run_without_evaluations_shows_its_training(run, env):
    page = written(run(env=env, evaluations=[], ended={**results(), "seeds": []}))
    assert "no evaluation yet; latest training return 4.5 [4, 5] over 2 seeds." in page.text
    assert page.tags.count("svg") == 2


def test_a_run_that_has_just_begun_has_a_report(run):
    page = written(run(status="running", metrics=[], evaluations=[]))
    assert "There is nothing to draw yet." in page.text
    assert "no evaluation yet." in page.text


def test_one_row_is_enough_for_a_picture(run):
    page = written(run(status="running", metrics=rows()[:1], evaluations=evals()[:1]))
    assert page.tags.count("svg") == 4


def test_half_of_the_mazes_solved_is_chance(run):
    chance = Run(run("none", ended=results(success=0.45)))
    able = Run(run("gru", ended=results(success=0.7)))
    elsewhere = Run(run("mlp", env="cartpole", ended=results(success=0.45)))
    assert "success 45 %, which is chance" in verdict(chance, "none")
    assert "chance" not in verdict(able, "gru") + verdict(elsewhere, "mlp")


def test_coming_to_the_junction_and_turning_right_there_are_told_apart(run):
    def told(success, reached):
        ended = results(success=success)
        for s in ended["seeds"]:
            s["greedy"]["reached"] = reached
        return verdict(Run(run(f"reached-{reached}", ended=ended)), "gru")

    assert "(success 30 %, which is chance; P(reach) 60 %, P(correct | reach) 50 %)" in told(0.3, 0.6)
    assert "(success 45 %; P(reach) 50 %, P(correct | reach) 90 %)" in told(0.45, 0.5)
    assert "(success 0 %; P(reach) 0 %, P(correct | reach) n/a)" in told(0.0, 0.0)


def test_runs_are_compared_as_the_command_compares_them(run):
    low = results()
    for s in low["seeds"]:
        s["greedy"]["mean"] -= 10
    runs = [Run(run("a", ended=low)), Run(run("b", ended=results(agent="b")))]
    first = standing(runs)[0]
    assert first.startswith("maze/gru has an IQM return of -5.5 [-6, -5] (2 seeds), maze/b of 4.5 [4, 5] (2 seeds)")
    assert "p = 0.33 (all 6 splits): no difference was shown, which is not evidence that there is none" in first


def test_runs_of_two_worlds_are_not_compared(run):
    assert "different worlds" in standing([Run(run("a")), Run(run("b", env="cartpole"))])[0]


def test_several_runs_share_a_page_beside_their_folder(run, tmp_path):
    paths = [
        run("gru"),
        run("lstm", memory="lstm", ended=results(agent="lstm")),
        run("none", status="running", evaluations=[]),
    ]
    path = report([Run(p) for p in paths])
    assert path.parent == tmp_path / "reports"
    assert report([Run(p) for p in paths]) != path
    page = Page(path.read_text(encoding="utf-8"))
    assert all(f"maze/{agent}" in page.text for agent in ("lstm", "none"))
    assert "memory.name" in page.text  # of the settings that differ
    assert "total_steps" not in page.text.partition("Settings that differ")[2].partition("Seeds")[0]
    assert not (paths[0] / "report.html").exists()


def test_a_chosen_place_is_the_only_file_written(run, tmp_path):
    path = run()
    before = set(path.iterdir())
    assert report([Run(path)], tmp_path / "out" / "page.html") == tmp_path / "out" / "page.html"
    assert set(path.iterdir()) == before
    with pytest.raises(BadInput, match="a folder"):
        report([Run(path)], tmp_path / "out")


def test_a_report_is_small(run):
    assert report([Run(run(seeds=10))]).stat().st_size < 500_000


def test_a_curve_bridges_gaps_of_a_seed_and_ends_where_it_ends(run):
    table = rows()
    for row in table:
        if row["seed"] == 0 and row["step"] == 1000:
            row["rollout/ep_rew_mean"] = None
    table = [row for row in table if row["seed"] == 0 or row["step"] <= 2000]
    steps, values = curves_of(Run(run(metrics=table)), lambda row: row["rollout/ep_rew_mean"])
    np.testing.assert_allclose(values[0], steps / 1000)
    np.testing.assert_allclose(values[1][steps <= 2000], steps[steps <= 2000] / 1000 + 1)
    assert np.isnan(values[1][steps > 2000]).all()


def test_long_curves_are_thinned_and_keep_their_ends(run):
    steps, values = curves_of(Run(run()), mean_of("return"), source="evals", points=3)
    assert list(steps) == [0, 2000, 4000]
    assert values[:, -1].tolist() == [4.0, 5.0]


def test_steps_are_written_short():
    assert [thousands(x) for x in (0, 50_000, 401_408, 1_500_000, 999_999)] == ["0", "50k", "401k", "1.5M", "1M"]
