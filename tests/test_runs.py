"""Run folders are read while they are written, after power cuts, and wherever they lie."""

import json
import subprocess
import sys

import pytest
from folders import evals, results, rows, write_rows, write_run

from romanesco.study.runs import Run, read_rows, runs_under


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_half_written_last_line_waits_and_comes_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "ti')
    assert read_rows(path) == ([{"step": 1}], [])
    with open(path, "a") as file:
        file.write('me": 3}\n')
    assert read_rows(path) == ([{"step": 1}, {"step": 2, "time": 3}], [])


@pytest.mark.parametrize("damage", [b"\0" * 4096, b'{"step": 2, "ti', b"\xff\xfe", b"[" * 200_000, b"7"])
def test_a_damaged_line_is_skipped_and_named(tmp_path, damage):
    path = tmp_path / "evals.jsonl"
    path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 3}\n')
    found, warnings = read_rows(path)
    assert found == [{"step": 1}, {"step": 3}]
    assert len(warnings) == 1
    assert "evals.jsonl line 2" in warnings[0]


def test_nuls_at_the_end_are_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b"\0" * 100)
    assert "line 2" in read_rows(path)[1][0]


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "none.jsonl") == ([], [])


def test_rows_of_a_seed_are_in_order_and_come_once(tmp_path):
    late = {"step": 500, "seed": 1, "again": True}
    run = Run(write_run(tmp_path / "maze" / "gru" / "a", metrics=[*reversed(rows()), late, {"step": 9}]))
    assert [row["step"] for row in run.metrics(1)] == list(range(500, 4001, 500))
    assert run.metrics(1)[0] == late
    assert run.metrics(7) == []


def test_evaluations_are_told_apart_by_mode(tmp_path):
    sampled = {**evals()[-1], "mode": "sampled"}
    run = Run(write_run(tmp_path / "maze" / "gru" / "a", evaluations=[*evals(), sampled]))
    assert len(run.evals(1, "greedy")) == 5
    assert run.evals(1, "sampled") == [sampled]
    assert len(run.evals(1)) == 6


def test_a_finished_run_is_read(tmp_path):
    run = Run(write_run(tmp_path / "maze" / "gru" / "a"))
    assert (run.label, run.name, run.status, run.steps, run.total) == ("maze/gru", "a", "finished", 4000, 4000)
    assert run.seeds == [0, 1]
    assert run.results == results()
    assert run.command == "romanesco train maze/gru"
    assert run.warnings == []


def test_a_run_whose_process_is_gone_has_crashed(tmp_path, gone):
    assert Run(write_run(tmp_path / "a", status="running")).status == "running"
    assert Run(write_run(tmp_path / "b", status="running", pid=gone)).status == "crashed"
    assert Run(write_run(tmp_path / "c", status="running", pid=0)).status == "crashed"
    assert Run(write_run(tmp_path / "d", status="failed", pid=gone)).status == "failed"


def test_a_run_that_has_just_begun_is_empty(tmp_path):
    folder = tmp_path / "maze" / "gru" / "a"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seeds: 2\n")
    run = Run(folder)
    assert (run.status, run.steps, run.results, run.command, run.version) == ("unknown", 0, None, "", {})
    assert run.warnings == []
    assert run.summary()["last_return"] is None


@pytest.mark.parametrize("name", ["config.yaml", "results.json", "status.json"])
def test_damaged_files_are_warned_of(tmp_path, name):
    path = write_run(tmp_path / "a")
    (path / name).write_bytes(b"\0" * 64)
    run = Run(path)
    assert run.warnings == [f"a: {name} is damaged"]
    assert run.summary()["name"].endswith("/a")


def test_a_summary_is_a_row_of_the_list(tmp_path):
    table = rows()
    table[-1]["rollout/ep_rew_mean"] = None  # seed 1: no episode ended in the last row, the one before counts
    said = Run(write_run(tmp_path / "maze" / "gru" / "a", metrics=table)).summary()
    assert said.pop("age_s") < 60
    assert said == {"name": "maze/gru/a", "status": "finished", "steps": 4000, "total": 4000, "last_return": 4.25}
    json.dumps(said, allow_nan=False)


def test_runs_are_found_wherever_they_lie(tmp_path):
    paths = [write_run(tmp_path / "maze" / "gru" / "a"), write_run(tmp_path / "sweep" / "x" / "maze" / "lstm" / "b")]
    write_run(paths[0] / "seeds" / "00")
    assert {run.path for run in runs_under(tmp_path)} == set(paths)
    assert [run.path for run in runs_under(paths[0])] == [paths[0]]
    assert runs_under(tmp_path / "empty") == []


def test_rows_are_read_while_the_run_goes_on(tmp_path):
    path = write_run(tmp_path / "a", status="running", metrics=rows()[:4])
    assert Run(path).metrics(0)[-1]["step"] == 1000
    write_rows(path / "metrics.jsonl", rows())
    assert Run(path).metrics(0)[-1]["step"] == 4000
