"""Differences between agents with and without a part, seed by seed."""

import itertools

import numpy as np
import pytest
import scipy.stats

from romanesco.study.inference import sign_flip_test
from romanesco.study.paired import taken, taken_rows

RNG = np.random.default_rng(0)


def test_a_sign_flip_test_is_a_brute_force_enumeration():
    d = RNG.normal(size=7) + 0.7
    means = [abs(np.mean(np.array(signs) * d)) for signs in itertools.product([-1, 1], repeat=7)]
    found = sign_flip_test(d)
    assert found.exact and found.splits == 2**7 and found.difference == pytest.approx(d.mean())
    assert found.p == pytest.approx(np.mean(np.array(means) >= abs(d.mean()) - 1e-9))
    theirs = scipy.stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(theirs.pvalue)


def test_random_signs_agree_with_all_of_them(monkeypatch):
    d = RNG.normal(size=10) + 0.5
    exact = sign_flip_test(d)
    monkeypatch.setattr("romanesco.study.inference.ENUMERATED", 10)
    drawn = sign_flip_test(d)
    assert not drawn.exact and drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / 10_000))


def test_no_difference_is_none():
    assert sign_flip_test(np.zeros(5)).p == 1
    with pytest.raises(ValueError, match="shape"):
        sign_flip_test([])


def test_what_every_seed_loses_is_found_though_seeds_differ_more():
    spread = np.linspace(50, 450, 10)
    whole = dict(enumerate(spread))
    scores = {"full": whole, "lost": dict(enumerate(spread - RNG.uniform(8, 12, 10))), "same": dict(whole)}
    lost, same = taken("full", scores)
    assert (lost.a, lost.b, lost.seeds) == ("full", "lost", 10) and 8 < lost.difference < 12
    assert lost.p == pytest.approx(2 / 2**10) and lost.p_holm == pytest.approx(2 * lost.p)
    assert lost.interval is not None and 8 < lost.interval[0] <= lost.difference <= lost.interval[1] < 12
    assert (same.difference, same.p, same.p_holm) == (0, 1, 1)
    head, rows = taken_rows([lost, same])
    assert rows[1][0] == "full - same" and len(head) == len(rows[0])
