"""Where wall time goes."""

import time

import pytest

from romanesco.core.clock import Clock, split


def test_phases_pause_one_another_and_add_up_to_the_time_gone(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 8.0, 9.0, 10.0, 12.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock("log")
    with clock("outer"), pytest.raises(KeyError), clock("inner"):
        raise KeyError
    with clock("outer"):
        pass
    assert clock.seconds == {"log": 1 + 1, "outer": 2 + 1 + 2, "inner": 5} and sum(clock.seconds.values()) == 12


def test_shares_are_told_in_words_largest_first():
    rows = [{"time/fps": 9.0, "time/eval_s": 1.0, "time/env_s": 2.0}, {"time/env_s": 4.98, "time/log_s": 0.02}]
    assert split(rows) == "env 87 %, eval 12 %"
    assert split([]) == split([{"time": 1.0}]) == ""
