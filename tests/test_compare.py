"""Comparisons say what was tested and no more, name what is missing, and refuse what cannot be compared."""

import json
import xml.etree.ElementTree as ET

import pytest
from folders import CONFIG, evals, results, write_run

from romanesco import cli
from romanesco.core.errors import BadInput
from romanesco.study.arms import arms_of, of_csv
from romanesco.study.claims import sentences
from romanesco.study.compare import compare
from romanesco.study.labels import labels_of
from romanesco.study.runs import Run
from romanesco.study.tables import arm_rows, pair_rows, power_rows


def ended(*scores, agent="gru", threshold=None, times=None, **more):
    """results.json of seeds with these final scores; None is a seed that was frozen at step 2,500."""
    told = results(len(scores), agent=agent, threshold=threshold)
    for i, (seed, score) in enumerate(zip(told["seeds"], scores, strict=True)):
        seed["greedy"] = None if score is None else {"mean": score, "episodes": 100, "success": None}
        seed["frozen_at"] = 2500 if score is None else None
        seed["steps_to_threshold"] = times[i] if times else None
    return told | {"evaluation_seeds": list(range(100))} | more


@pytest.fixture
def run(tmp_path):
    def made(agent, *scores, name="a", **how):
        path = tmp_path / "runs" / "maze" / agent / name
        return Run(write_run(path, seeds=len(scores), ended=ended(*scores, agent=agent, **how)))

    return made


@pytest.fixture
def table(tmp_path):
    def made(text):
        path = tmp_path / "scores.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return made


def against(*runs, **how):
    return compare(arms_of(runs), **how)


def strict(told):
    return json.loads(json.dumps(told.as_json(), allow_nan=False))


FAR = ([500.0 + i for i in range(10)], [400.0 - i for i in range(10)])


def test_a_difference_is_found_and_said(run):
    told = against(run("mlp", *FAR[0]), run("gru", *FAR[1]))
    (pair,) = told.pairs
    assert pair.better == "maze/mlp" and pair.difference == 109 and pair.improvement == 1
    first = sentences(told)[0]
    assert "maze/mlp has an IQM return of 504.5 [" in first and "(10 seeds), maze/gru of 395.5 [" in first
    assert "a difference of 109, 95 % interval [" in first
    assert "p = 0.0001 (10,000 random splits): significant at 5 %, in favor of maze/mlp." in first


def test_the_worse_of_a_pair_may_be_named_first(run):
    told = against(run("gru", *FAR[1]), run("mlp", *FAR[0]))
    assert told.pairs[0].better == "maze/mlp"
    assert told.pairs[0].difference == -109


@pytest.mark.parametrize("b", [FAR[0], [x + 0.5 for x in FAR[0]]])
def test_no_difference_is_never_called_equal_or_significant(run, b):
    text = str(against(run("mlp", *FAR[0]), run("gru", *b))).lower()
    assert "no difference was shown, which is not evidence that there is none" in text
    assert "equal" not in text and "significant" not in text


def test_ten_times_the_same_score(run):
    told = against(run("mlp", *[500.0] * 10), run("gru", *[500.0] * 10))
    (pair,), arm = told.pairs, told.arms[0]
    assert (arm.iqm, arm.interval, arm.mean_interval, arm.degenerate) == (500, (500, 500), (500, 500), True)
    assert (pair.p, pair.p_holm, pair.improvement, pair.cliffs_delta, pair.welch) == (1, 1, 0.5, 0, None)
    assert "degenerate" in str(told)
    strict(told)


def test_one_seed_has_no_interval_and_decides_nothing(run):
    told = against(run("mlp", 480.0), run("gru", 20.0), margin=5)
    (pair,), arm = told.pairs, told.arms[0]
    assert (arm.interval, arm.mean_interval, pair.interval, pair.welch, pair.detectable) == (None,) * 5
    assert pair.p == 1 and pair.better is None and pair.not_inferior == (None, None)
    text = str(told)
    assert "maze/mlp and maze/gru have one seed: no interval" in text
    assert "significant" not in text
    assert "non-inferiority cannot be judged" in text
    strict(told)


@pytest.mark.parametrize(("n", "least"), [(3, "0.10"), (4, "0.057")])
def test_the_smallest_possible_p_of_few_seeds_is_said(run, n, least):
    text = str(against(run("mlp", *FAR[0][:n]), run("gru", *FAR[1][:n])))
    assert f"With {n} against {n} seeds the smallest possible p is {least}: no scores could decide." in text
    assert "Below 10 seeds intervals are narrower" in text


def test_several_pairs_are_corrected(run):
    told = against(run("a", *FAR[0][:5]), run("b", *FAR[1][:5]), run("c", *[300.0 - i for i in range(5)]))
    assert [pair.p for pair in told.pairs] == [pytest.approx(4 / 252)] * 3
    assert [pair.p_holm for pair in told.pairs] == [pytest.approx(12 / 252)] * 3
    assert str(told).count("corrected for 3 pairs by Holm: significant") == 3
    four = against(*(run(f"x{k}", *[100.0 * k + i for i in range(5)]) for k in range(4)))
    assert "the smallest possible p is 0.016, times 6 pairs: no scores could decide." in str(four)


def test_of_many_pairs_the_undecided_are_counted(run):
    told = against(*(run(f"x{k}", *FAR[0]) for k in range(5)))
    assert "Of 10 pairs: no difference was shown" in sentences(told)[0]
    assert len(pair_rows(told)[1]) == 10


def test_missing_seeds_are_named_and_left_out(run):
    told = against(run("mlp", *FAR[0]), run("gru", *FAR[1][:7], None, None, float("nan")))
    arm = told.arms[1]
    assert (arm.n, list(arm.missing), arm.worst) == (7, [7, 8, 9], 394)
    text = str(told)
    assert "(10 - 3 = 7 seeds)" in text
    assert (
        "Missing of maze/gru, and left out: seeds 7, 8 (stopped at step 2,500 by numbers that are not finite); " in text
    )
    assert "seed 9 (its final score is not a finite number)" in text
    assert arm_rows(told)[1][1][1] == "10 - 3 = 7"
    strict(told)


def test_without_results_the_last_evaluation_counts(tmp_path):
    rows = [row for row in evals(3) if row["seed"] != 1 or row["step"] < 4000]
    runs = [Run(write_run(tmp_path / "maze" / a / "x", seeds=3, memory=a, evaluations=rows, ended={})) for a in "ab"]
    arm = arms_of(runs)[0]
    assert arm.scores == {0: 4, 2: 6}
    assert arm.missing == {1: "not evaluated at the end, step 4,000; its last evaluation is at step 3,000"}


@pytest.mark.parametrize("status", ["interrupted", "crashed", "running"])
def test_an_unfinished_run_has_no_score_and_says_how_to_go_on(tmp_path, run, status):
    pid = 0 if status == "crashed" else None
    path = write_run(tmp_path / "maze" / "lstm" / "x", status="running" if pid == 0 else status, pid=pid)
    with pytest.raises(
        BadInput, match=f"the run is {status} at step 4,000 of 4,000; go on with: romanesco train --res"
    ):
        against(run("mlp", *FAR[0]), Run(path))


@pytest.mark.parametrize(
    ("more", "said"),
    [({"budget": 8000}, "budget: 4000, 8000"), ({"threshold": 9.0}, "threshold: 5.0, 9.0"),
     ({"evaluation_seeds": [3, 4]}, "evaluation seeds: 0..99, 3, 4")],
)  # fmt: skip
def test_what_differs_is_refused_unless_allowed_and_then_shown(run, more, said):
    threshold = more.pop("threshold", 5.0)
    runs = run("mlp", *FAR[0], threshold=5.0), run("gru", *FAR[1], threshold=threshold, **more)
    with pytest.raises(BadInput, match=r"--allow-mismatch") as error:
        against(*runs)
    assert said in str(error.value)
    told = against(*runs, allow_mismatch=True)
    assert f"Mismatch allowed: {said.partition(':')[0]}: maze/mlp " in str(told)


def test_another_world_of_the_same_name_is_a_mismatch_and_another_name_is_refused(run):
    runs = run("mlp", *FAR[0]), run("gru", *FAR[1])
    config = runs[1].path / "config.yaml"
    config.write_text(config.read_text().replace("name: tmaze", "name: tmaze\n  corridor_length: 40\n  stack: 4"))
    corridor = runs[0].path / "config.yaml"
    corridor.write_text(corridor.read_text().replace("name: tmaze", "name: tmaze\n  corridor_length: 20"))
    with pytest.raises(BadInput, match=r"env.corridor_length: 20, 40\. Train") as error:
        against(*runs)
    assert "stack" not in str(error.value)
    config.write_text(config.read_text().replace("name: tmaze", "name: cartpole"))
    with pytest.raises(BadInput, match="different worlds"):
        against(*(Run(one.path) for one in runs), allow_mismatch=True)


def test_a_run_is_not_compared_with_itself(run):
    one = run("mlp", *FAR[0])
    with pytest.raises(BadInput, match="named twice"):
        against(one, one)
    with pytest.raises(BadInput, match="at least two"):
        against(one)


def test_steps_to_the_threshold_are_compared_with_censoring(run):
    times = {"mlp": [1000] * 8 + [4000] * 2, "gru": [None] * 10}
    told = against(*(run(agent, *FAR[0], threshold=5.0, times=at) for agent, at in times.items()))
    assert told.arms[1].efficiency.restricted_mean == 4000
    assert told.arms[0].efficiency.median_steps == 1000
    assert told.pairs[0].steps.difference == 1600 - 4000
    text = str(told)
    assert "Threshold 5 reached by maze/mlp 10 of 10 seeds, 1.6k steps; maze/gru 0 of 10 seeds, 4k steps" in text
    assert "difference -2.4k, permutation p = 0.0" in text


def test_what_evaluations_say_is_listed(run):
    curve = against(run("mlp", *FAR[0]), run("gru", *FAR[1])).arms[0].curve
    assert curve["auc"] == pytest.approx(2 + 4.5)  # of evaluations at step / 1000 + seed
    assert curve["late_drop"] == curve["dispersion"] == 0
    assert curve["slope"] == pytest.approx(0.001)
    assert curve["still_learning"] is True


def test_a_margin_is_judged_in_both_directions(run):
    a = [100.0 + i for i in range(10)]
    told = against(run("mlp", *a), run("gru", *[x + 2 for x in a]), margin=5)
    assert told.pairs[0].not_inferior == (True, True)  # -2 +- 2.8
    assert "that maze/mlp is not inferior to maze/gru is shown" in str(told)
    near = against(run("mlp", *a, name="b"), run("gru", *[x + 4 for x in a], name="b"), margin=5)
    assert near.pairs[0].not_inferior == (False, True)
    assert "that maze/mlp is not inferior to maze/gru is not shown" in str(near)
    for margin in (0, -1, float("nan")):
        with pytest.raises(BadInput, match="margin"):
            compare(told.sources, margin=margin)


def test_the_order_of_seeds_does_not_matter(run):
    names = {"name": "x"}
    told = strict(against(run("mlp", *FAR[0]), run("gru", *FAR[1][:6])))
    turned = strict(against(run("mlp", *FAR[0][::-1], **names), run("gru", *FAR[1][:6][::-1], **names)))
    for key in ("iqm", "interval", "mean", "mean_interval"):
        assert [arm[key] for arm in told["arms"]] == [arm[key] for arm in turned["arms"]]
    assert told["pairs"] == turned["pairs"]


def test_runs_of_a_sweep_have_names_of_their_own(run):
    runs = [run("mlp", 1.0, 2.0, name=f"p{i}") for i in range(3)]
    assert labels_of(runs) == ["maze/mlp (p0)", "maze/mlp (p1)", "maze/mlp (p2)"]
    for rate, one in zip((0.1, 0.2, 0.3), runs, strict=True):
        text = CONFIG.format(seeds=2, env="tmaze", memory="gru")
        (one.path / "config.yaml").write_text(f"{text}algorithm:\n  learning_rate: {rate}\n")
    swept = [Run(one.path) for one in runs]
    assert labels_of(swept) == [f"maze/mlp learning_rate={rate}" for rate in (0.1, 0.2, 0.3)]
    assert labels_of([*swept[:1], run("gru", 1.0)]) == ["maze/mlp", "maze/gru"]
    (runs[2].path / "config.yaml").write_text((runs[1].path / "config.yaml").read_text())
    assert labels_of([Run(one.path) for one in runs])[1] == "maze/mlp (p1)"


def test_a_table_is_read(table):
    first, second = of_csv(table("\ufeffseed,a, b\n0,1.5,2\n\n1,,nan\nx,-3,1e400\n"))
    assert (first.name, first.scores) == ("a", {0: 1.5, "x": -3})
    assert first.missing == {1: "no number in the table"}
    assert (second.name, second.scores) == ("b", {0: 2})
    assert second.missing == {1: "`nan` in the table is not a finite number", "x": "`1e400` in the table is not a "
                              "finite number"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "a head and rows"), ("seed,a,b\n", "a head and rows"), ("seed;a;b\n0;1;2\n", "with commas"),
     ("seed,a,a\n0,1,2\n", "column `a`"), ("seed,a,\n0,1,2\n", "column ``"),
     ("seed,a,b\n0,1,two\n", "line 2, b: `two`"),
     ("seed,a,b\n0,1,2\n0,1,2\n", "seed 0 stands there twice"), ("seed,a,b\n0,1,2,3\n", "4 cells under 3 names"),
     ("seed,a\n0,1\n", "at least two"), ("seed,a,b\n0,1,\n", "b: no seed has a final score: no number")],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused_in_one_line(table, text, said, capsys):
    assert cli.run(["compare", str(table(text))]) == cli.BAD
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere.csv"], "nowhere.csv"), (["nowhere"], "no run `nowhere`"), (["--margin", "-1"], "margin=-1"),
     (["--plot", "x.png"], ".svg")],
)  # fmt: skip
def test_bad_words_are_refused_in_one_line(table, words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = str(table("seed,a,b\n0,1,2\n1,2,3\n"))
    assert cli.run(["compare", scores, *words]) == cli.BAD
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_the_command_prints_tables_and_sentences(table, capsys, tmp_path):
    scores, figure = str(table("seed,a,b\n0,1,2\n1,2,3\n2,3,9\n")), tmp_path / "out" / "x.svg"
    assert cli.run(["compare", scores, "--power", "--plot", str(figure)]) == cli.DONE
    out = capsys.readouterr().out
    for part in ("IQM score", "P(a > b)", "seeds an arm for power 0.8", "a has an IQM score of 2 [1, 3]", str(figure)):
        assert part in out
    assert ET.parse(figure).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_command_gives_strict_json(table, capsys):
    assert cli.run(["compare", str(table("seed,a,b\n0,1,2\n1,2,\n")), "--json"]) == cli.DONE
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["pairs"][0]["sentence"] in told["sentences"][0]
    assert told["arms"][1]["interval"] is None and told["power"]


def test_a_picture_of_runs_has_curves_and_shares_solved(run, tmp_path):
    runs = run("mlp", *FAR[0], threshold=5.0, times=[1000] * 10), run("<gru>&", *FAR[1], threshold=5.0)
    told = against(*runs)
    svg = told.plot(tmp_path / "cmp.svg").read_text(encoding="utf-8")
    ET.fromstring(svg)
    for title in ("Every seed, IQM and interval", "Share of seeds above", "Evaluation return", "Share of seeds at the"):
        assert title in svg
    assert "<gru>" not in svg
    assert against(run("a", 1.0), run("b", 2.0)).plot(tmp_path / "one.svg").exists()


def test_tables_have_no_empty_columns(run):
    head, rows = arm_rows(against(run("mlp", *FAR[0]), run("gru", *FAR[1])))
    assert "solved" not in head and all(len(row) == len(head) for row in rows)
    head, rows = power_rows(against(run("mlp", 1.0, name="b"), run("gru", 2.0, name="b")))
    assert [row[1] for row in rows] == [64, 26, 17, 9, 6]


def test_the_api_takes_runs_paths_and_tables(run, table):
    import romanesco as rm
    from romanesco.api import RunSet

    runs = RunSet([run("mlp", *FAR[0]).path, run("gru", *FAR[1]).path])
    told = rm.compare(runs)
    assert [arm.name for arm in told.arms] == ["maze/mlp", "maze/gru"]
    assert rm.compare(*map(str, runs.paths)).pairs == told.pairs
    with_table = rm.compare(runs.paths[0], table("seed,paper\n0,1\n1,2\n"))
    assert [arm.name for arm in with_table.arms] == ["maze/mlp", "paper"] and with_table.unit == "score"
