"""Statistics against SciPy, closed forms and slow definitions."""

import time

import numpy as np
import pytest
import scipy.stats

from romanesco.study.stats import band, interval, iqm, steps_to_threshold, t_interval

SCORES = np.random.default_rng(1).normal(size=(10, 3)) * [1, 5, 20] + [0, 3, -10]


@pytest.mark.parametrize("n", range(1, 14))
def test_iqm_is_scipys_trimmed_mean(n):
    scores = SCORES.ravel()[:n]
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25))


def test_iqm_pools_seeds_and_tasks():
    assert iqm(SCORES) == pytest.approx(iqm(SCORES.ravel()))


def test_iqm_over_one_axis_is_that_of_each_column():
    np.testing.assert_allclose(iqm(SCORES, axis=(0,)), [iqm(column) for column in SCORES.T])


def test_iqm_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no scores"):
        iqm([])


def test_the_bootstrap_of_a_mean_agrees_with_scipy():
    scores = SCORES[:, 1]
    ours = interval(scores, statistic=np.mean)
    theirs = scipy.stats.bootstrap((scores,), np.mean, method="percentile", rng=np.random.default_rng(3))
    assert ours == pytest.approx(theirs.confidence_interval, abs=0.1 * scores.std())


def test_the_bootstrap_is_stratified():
    """Seeds are drawn within each task: tasks on different scales add no width to the interval of the mean."""
    constant = np.tile([0.0, 1000.0], (8, 1))
    assert interval(constant, statistic=np.mean) == (500, 500)


def test_an_interval_is_that_of_its_replicates_drawn_in_a_loop():
    table = np.sort(SCORES, 0)
    draws = np.random.default_rng(5).integers(10, size=(200, 10, 3))
    again = [iqm(np.stack([table[draw[:, k], k] for k in range(3)], 1)) for draw in draws]
    want = np.quantile(again, [0.05, 0.95])
    assert interval(SCORES, level=0.9, replicates=200, seed=5) == pytest.approx(want)


def test_an_interval_does_not_depend_on_the_order_of_runs():
    assert interval(SCORES[::-1]) == interval(SCORES)
    assert interval(SCORES[::-1, 0]) == interval(SCORES[:, 0])


def test_the_same_generator_gives_the_same_interval_and_another_does_not():
    assert interval(SCORES) == interval(SCORES)
    assert interval(SCORES) != interval(SCORES, seed=1)


@pytest.mark.parametrize("x", [0.1, -99.99905, 500.0, 1e30])
def test_equal_scores_give_that_score(x):
    assert interval([x] * 7) == (x, x)
    assert t_interval([x] * 7) == pytest.approx((x, x))


def test_one_seed_gives_no_interval():
    assert interval([3.0]) is None
    assert interval(SCORES[:1]) is None
    assert t_interval([3.0]) is None


def test_ten_thousand_replicates_of_ten_seeds_are_fast():
    begun = time.process_time()
    interval(SCORES[:, 0])
    assert time.process_time() - begun < 0.3


def test_students_interval_is_scipys():
    x = SCORES[:, 2]
    want = scipy.stats.t.interval(0.9, len(x) - 1, x.mean(), scipy.stats.sem(x))
    assert t_interval(x, level=0.9) == pytest.approx(want)


def test_a_band_is_the_interval_at_every_point():
    """Up to what two sets of random draws differ by."""
    middle, low, high = band(SCORES, replicates=20_000)
    for k in range(3):
        assert middle[k] == pytest.approx(iqm(SCORES[:, k]))
        assert (low[k], high[k]) == pytest.approx(interval(SCORES[:, k]), abs=0.06 * SCORES[:, k].std())


def test_a_band_leaves_out_seeds_that_have_no_value():
    curves = SCORES.copy()
    curves[4:, 1] = np.nan
    curves[1:, 2] = np.nan
    middle, low, high = band(curves)
    assert middle[1] == pytest.approx(iqm(SCORES[:4, 1]))
    assert low[2] == middle[2] == high[2] == SCORES[0, 2]
    assert np.isnan(band(np.full((3, 1), np.nan))).all()


def test_steps_to_threshold_is_the_first_evaluation_that_reaches_it():
    curve = [(0, 1.0), (10, 5.0), (20, 4.0), (30, 6.0)]
    assert steps_to_threshold(curve, 5.0) == 10
    assert steps_to_threshold(curve, 7.0) is None
    assert steps_to_threshold(curve, None) is None
