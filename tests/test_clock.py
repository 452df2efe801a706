"""Where wall time goes."""

import time

import pytest

from romanesco.core.clock import Clock


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
