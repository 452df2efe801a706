"""Rows reach their files: short exact floats, strict JSON, one writer, and a sink that dies takes nobody along."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from romanesco.lab.rows import EVALS, Jsonl, encode, rewind
from romanesco.lab.sinks import Sinks, TensorBoard


def strict(text):
    return json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))


def test_floats_are_the_shortest_that_restore_the_float32():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    row = strict(encode({f"k{i}": v for i, v in enumerate(x)}))
    assert [np.float32(row[f"k{i}"]) for i in range(len(x))] == list(x)
    assert encode({"a": np.float32(0.1), "b": float(np.float32(1e-5))}) == '{"a": 0.1, "b": 1e-05}\n'


def test_key_order_does_not_depend_on_the_caller():
    row = {"train/b": 1.0, "time": 2.0, "seed": 0, "train/a": 3, "step": 5, "update": 1, "live_step": 4}
    line = encode(row)
    assert line == encode(dict(reversed(row.items())))
    assert list(strict(line)) == ["step", "live_step", "seed", "update", "time", "train/a", "train/b"]


def test_non_finite_is_null_and_an_alarm_but_none_is_only_null():
    row = strict(encode({"step": 1, "a": float("nan"), "b": np.float32("inf"), "c": None, "d": 1e39}))
    assert row == {"step": 1, "a": None, "b": None, "c": None, "d": 1e39, "nonfinite": ["a", "b"]}


def test_evaluations_hold_plain_lists():
    row = {
        "step": 1,
        "seed": 0,
        "mode": "greedy",
        "return": np.array([0.1, np.nan], "f4"),
        "env_seed": np.array([3, 4]),
    }
    assert encode(row, head=EVALS) == (
        '{"seed": 0, "step": 1, "mode": "greedy", "return": [0.1, null], "env_seed": [3, 4], "nonfinite": ["return"]}\n'
    )


def test_rows_are_in_the_file_when_write_returns(tmp_path):
    log = Jsonl(tmp_path / "m.jsonl")
    log.write([{"step": 1}, {"step": 2}])
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    assert log.offset() == (tmp_path / "m.jsonl").stat().st_size
    log.close()


def test_rows_wait_while_the_disk_is_full(tmp_path, monkeypatch):
    log, real = Jsonl(tmp_path / "m.jsonl"), os.write
    log.write([{"step": 1}])

    def full(handle, data):
        if len(data) < 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[: len(data) - 4])

    monkeypatch.setattr(os, "write", full)
    log.write([{"step": 2}])
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1}\n' and log.waiting
    monkeypatch.undo()
    log.write([{"step": 3}])
    log.close()
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n' and not log.waiting


def test_a_half_line_stays_a_line_of_its_own(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n{"ste')
    log = Jsonl(tmp_path / "m.jsonl")
    log.write([{"step": 2}])
    log.close()
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1}\n{"ste\n{"step": 2}\n'


def test_rewind_of_a_damaged_file_goes_by_steps(tmp_path):
    """A line of NULs moved every later byte: no line ends at the offset, so rows of later steps go."""
    lines = ['{"step": 1}\n', "\0" * 40 + "\n", '{"step": 3}\n', '{"step": 4}\n', '{"step"']
    (tmp_path / "m.jsonl").write_text("".join(lines))
    rewind(tmp_path / "m.jsonl", 36, step=3)
    assert (tmp_path / "m.jsonl").read_text() == "".join(lines[:3])
    assert (tmp_path / "m.stale.jsonl").read_text() == "".join(lines[3:]) + "\n"


def test_rewind_to_the_end_changes_nothing(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n')
    rewind(tmp_path / "m.jsonl", 12)
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


ROWS = [
    {"step": s, "seed": seed, "update": 1, "time": 0.1, "a": s / 2, "b": None} for s in (1, 2, 3) for seed in (0, 1)
]


def scalars(folder, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(e.step, e.value) for e in events.Scalars(tag)], events.Tags()["scalars"]


def test_tensorboard_gets_the_scalars_of_each_seed(tmp_path):
    board = TensorBoard(tmp_path / "tb")
    board.write(ROWS)
    board.close()
    for seed in (0, 1):
        assert scalars(tmp_path / "tb" / f"seed_0{seed}", "a") == ([(1, 0.5), (2, 1.0), (3, 1.5)], ["a"])


def test_tensorboard_on_resume_voids_what_came_after_the_checkpoint(tmp_path):
    board = TensorBoard(tmp_path / "tb")
    board.write(ROWS)
    board.close()
    again = TensorBoard(tmp_path / "tb", resumed=2)
    again.write([{"step": 3, "seed": 0, "a": 9.0}])
    again.close()
    assert len(list((tmp_path / "tb" / "seed_00").iterdir())) == 2
    assert scalars(tmp_path / "tb" / "seed_00", "a")[0] == [(1, 0.5), (2, 1.0), (3, 9.0)]


def test_tensorboard_comes_late_and_alone(tmp_path):
    code = f"""
import sys
from romanesco.lab.sinks import TensorBoard
assert not [m for m in sys.modules if m.startswith("tensorboard")]
board = TensorBoard({str(tmp_path)!r})
board.write([{{"step": 1, "seed": 0, "a": 1.0}}])
board.close()
assert not {{"torch", "tensorflow", "tensorboardX"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_failing_sink_warns_once_and_is_dropped():
    class Broken:
        def write(self, rows):
            raise RuntimeError("no network")

        def close(self):
            pytest.fail("a dropped sink is left alone")

    class Good:
        def __init__(self):
            self.rows = []

        def write(self, rows):
            self.rows += rows

        def close(self):
            self.rows.append("closed")

    said, good = [], Good()
    sinks = Sinks({"wandb": Broken(), "good": good}, say=said.append)
    for n in range(2):
        sinks.write({"step": n} for n in [n])
    sinks.close()
    assert said == ["log sink wandb failed and is dropped: RuntimeError: no network"]
    assert good.rows == [{"step": 0}, {"step": 1}, "closed"]
