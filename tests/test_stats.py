"""Statistics against SciPy, closed forms and slow definitions."""

import numpy as np
import pytest
import scipy.stats

from romanesco.study.stats import (
    band,
    bca_interval,
    degenerate,
    difference_interval,
    interval,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    t_interval,
    wilson,
)

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


@pytest.mark.parametrize(("hits", "of"), [(0, 2), (0, 10), (3, 7), (50, 100), (100, 100)])
def test_wilsons_interval_is_scipys(hits, of):
    theirs = scipy.stats.binomtest(hits, of).proportion_ci(method="wilson")
    low, high = wilson(hits, of)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))
    assert low >= 0 and high <= 1 and f"{low:.3f}" != "-0.000"


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


def test_mean_median_and_gap_are_those_of_the_tasks():
    means = SCORES.mean(0)
    assert mean(SCORES) == pytest.approx(means.mean())
    assert median(SCORES) == pytest.approx(np.median(means))
    assert median(SCORES[:, 0]) == pytest.approx(means[0])
    assert optimality_gap([0.25, 0.75, 2.0]) == pytest.approx((0.75 + 0.25) / 3)
    assert optimality_gap([[450.0], [500.0]], target=475) == 12.5


@pytest.mark.parametrize("statistic", [mean, median, optimality_gap])
def test_aggregates_take_replicates(statistic):
    drawn = np.random.default_rng(0).normal(size=(4, 10, 3))
    np.testing.assert_allclose(statistic(drawn, axis=(1, 2)), [statistic(one) for one in drawn])


@pytest.mark.parametrize("x", [SCORES[:, 1], np.exp(2 * SCORES[:, 0])])
def test_the_bca_interval_of_a_mean_agrees_with_scipy(x):
    theirs = scipy.stats.bootstrap((x,), np.mean, method="BCa", rng=np.random.default_rng(3), n_resamples=20_000)
    ours = bca_interval(x, replicates=20_000)
    assert ours == pytest.approx(theirs.confidence_interval, abs=0.05 * x.std())
    assert bca_interval(x[::-1], replicates=20_000) == ours


def test_the_bca_interval_of_equal_scores_is_marked():
    assert bca_interval([0.1] * 7) == (0.1, 0.1)
    assert degenerate([0.1] * 7)
    assert not degenerate([0.1, 0.2])
    assert bca_interval([3.0]) is None


def test_the_bca_interval_is_stratified():
    assert bca_interval(np.tile([0.0, 1000.0], (8, 1))) == (500, 500)
    low, high = bca_interval(SCORES)
    assert low < mean(SCORES) < high


def test_the_interval_of_a_difference_agrees_with_scipy():
    x, y = SCORES[:, 1], 2 * SCORES[:7, 0]
    theirs = scipy.stats.bootstrap(
        (x, y),
        lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis),
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert difference_interval(x, y, statistic=mean) == pytest.approx(theirs.confidence_interval, abs=0.3)
    assert difference_interval(x[::-1], y[::-1]) == difference_interval(x, y)
    assert difference_interval([0.1] * 5, [0.1] * 3) == (0, 0)
    assert difference_interval(x, [1.0]) is None


def test_a_profile_is_the_share_of_scores_above():
    share, low, high = performance_profile([1.0, 2.0, 2.0, 4.0], [0, 1, 2, 3, 4])
    assert share.tolist() == [1, 0.75, 0.25, 0.25, 0]
    assert (low <= share).all() and (share <= high).all()
    assert low[1] == pytest.approx(scipy.stats.binom.ppf(0.025, 4, 0.75) / 4)
    pooled, *_ = performance_profile(SCORES, [0.0])
    assert pooled == pytest.approx((SCORES > 0).mean())


@pytest.mark.slow
def test_coverage_is_that_of_the_table():
    """Of normal scores, 10 seeds: within three standard errors of what is printed beside intervals."""
    rng, repeats = np.random.default_rng(11), 400
    kinds = {0.93: lambda x: interval(x, replicates=1000), 0.90: lambda x: bca_interval(x, replicates=1000),
             0.95: t_interval}  # fmt: skip
    samples = rng.normal(size=(repeats, 10))
    for nominal, kind in kinds.items():
        held = np.mean([low <= 0 <= high for low, high in map(kind, samples)])
        assert held == pytest.approx(nominal, abs=3 * np.sqrt(nominal * (1 - nominal) / repeats + 0.01**2))
