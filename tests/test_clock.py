"""Where wall time goes."""

import time

import pytest

from romanesco.core.clock import Clock, split


def test_phases_pause_one_another_and_add_up_to_the_time_gone():
    began, clock = time.perf_counter(), Clock("log")
    with clock("outer"):
        time.sleep(0.02)
        with pytest.raises(KeyError), clock("inner"):
            time.sleep(0.05)
            raise KeyError
    with clock("outer"):
        pass
    assert 0.02 <= clock.seconds["outer"] < 0.05 <= clock.seconds["inner"]
    assert sum(clock.seconds.values()) == pytest.approx(time.perf_counter() - began, abs=0.01)


def test_shares_are_told_in_words_largest_first():
    rows = [{"time/fps": 9.0, "time/eval_s": 1.0, "time/env_s": 2.0}, {"time/env_s": 4.98, "time/log_s": 0.02}]
    assert split(rows) == "env 87 %, eval 12 %"
    assert split([]) == split([{"time": 1.0}]) == ""
