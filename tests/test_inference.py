"""Tests of significance, steps to a threshold, power: against SciPy, brute force, closed forms and hand tables."""

import itertools
from math import comb

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from romanesco.study import convergence, power, survival
from romanesco.study.inference import (
    cliffs_delta,
    holm,
    improvement,
    not_inferior,
    permutation_test,
    smallest_p,
    welch,
)
from romanesco.study.stats import iqm, mean
from romanesco.study.survival import Times, kaplan_meier, median_steps, restricted_mean, restricted_mean_test

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=6), RNG.normal(size=4) + 1


def brute(x, y, statistic):
    pooled = np.concatenate([x, y])
    observed = abs(statistic(x) - statistic(y))
    found = []
    for chosen in itertools.combinations(range(len(pooled)), len(x)):
        rest = [i for i in range(len(pooled)) if i not in chosen]
        found.append(abs(statistic(pooled[list(chosen)]) - statistic(pooled[rest])) >= observed - 1e-9)
    return np.mean(found)


@pytest.mark.parametrize("statistic", [iqm, mean])
def test_a_permutation_test_is_a_brute_force_enumeration(statistic):
    found = permutation_test(X, Y, statistic=statistic)
    assert found.exact and found.splits == comb(10, 4)
    assert found.p == pytest.approx(brute(X, Y, statistic))
    assert found.difference == pytest.approx(statistic(X) - statistic(Y))


def test_a_permutation_test_of_means_is_scipys():
    theirs = scipy.stats.permutation_test(
        (X, Y[:3]), lambda a, b, axis: abs(a.mean(axis) - b.mean(axis)), vectorized=True, alternative="greater"
    )
    assert permutation_test(X, Y[:3], statistic=mean).p == pytest.approx(theirs.pvalue)


def test_labels_are_permuted_within_each_task():
    x, y = RNG.normal(size=(3, 2)) * [1, 100], RNG.normal(size=(2, 2)) * [1, 100]
    found = permutation_test(x, y, statistic=mean)
    assert found.splits == comb(5, 2) ** 2
    parts = []
    for k in range(2):
        pooled = np.concatenate([x[:, k], y[:, k]])
        of = [list(c) for c in itertools.combinations(range(5), 3)]
        parts.append([pooled[c].mean() - np.delete(pooled, c).mean() for c in of])
    means = np.abs(np.add.outer(*map(np.array, parts)) / 2)
    assert found.p == pytest.approx(np.mean(means >= abs(found.difference) - 1e-9))


def test_random_splits_agree_with_all_of_them(monkeypatch):
    x, y = RNG.normal(size=8), RNG.normal(size=7) + 0.8
    exact = permutation_test(x, y)
    monkeypatch.setattr("romanesco.study.inference.ENUMERATED", 10)
    drawn = permutation_test(x, y)
    assert exact.exact and not drawn.exact and drawn.splits == 10_000
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / 10_000))


@pytest.mark.parametrize("n", [5, 12])
def test_the_order_of_runs_and_of_arms_does_not_matter(n):
    x, y = RNG.normal(size=n), RNG.normal(size=n + 2) + 0.5
    found = permutation_test(x, y)
    assert permutation_test(x[::-1], np.roll(y, 3)).p == found.p
    assert permutation_test(y, x).p == found.p
    assert welch(x[::-1], y[::-1]) == welch(x, y)


@pytest.mark.parametrize("x", [0.1, 500.0, 1e30])
@pytest.mark.parametrize("n", [1, 3, 10])
def test_equal_scores_have_p_1(x, n):
    found = permutation_test([x] * n, [x] * n)
    assert (found.difference, found.p) == (0, 1)
    assert (improvement([x] * n, [x] * n), cliffs_delta([x] * n, [x] * n)) == (0.5, 0)
    assert welch([x] * n, [x] * n) is None


def test_one_seed_against_one_cannot_decide():
    assert permutation_test([480], [20]).p == 1


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        permutation_test([], [1.0])


@pytest.mark.parametrize(("n", "m"), [(n, m) for n in range(1, 8) for m in range(1, n + 1) if comb(n + m, n) < 2000])
def test_the_smallest_p_is_reached_and_never_beaten(n, m):
    rng, found = np.random.default_rng(0), []
    for _ in range(15):
        pooled = np.sort(rng.normal(size=n + m) ** 3)
        found += [permutation_test(pooled[:n], pooled[n:]).p, permutation_test(pooled[m:], pooled[:m]).p]
    assert min(found) == pytest.approx(smallest_p(n, m))


def test_the_smallest_p_of_few_seeds():
    assert [round(smallest_p(n, n), 3) for n in (1, 3, 4, 5)] == [1, 0.1, 0.057, 0.016]
    assert smallest_p(20, 20) == pytest.approx(1 / 10_001)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "repeats"), [(5, 2000), (10, 250)])
def test_one_in_twenty_pairs_of_one_distribution_differs(n, repeats):
    rng = np.random.default_rng(5)
    wrong = np.mean([permutation_test(*rng.normal(size=(2, n))).p <= 0.05 for _ in range(repeats)])
    assert wrong == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / repeats))


def test_holm_is_its_definition_and_monotone():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    many = RNG.random(9)
    corrected = np.array(holm(many))
    assert (np.diff(corrected[np.argsort(many)]) >= 0).all()
    assert (corrected >= many).all() and corrected.max() <= 1
    assert corrected == pytest.approx(np.array(holm(many[::-1]))[::-1])


def test_welch_is_scipys():
    theirs = scipy.stats.ttest_ind(X, Y, equal_var=False)
    ours = welch(X, Y)
    assert (ours.t, ours.p, ours.df) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.df))
    assert ours.interval == pytest.approx(theirs.confidence_interval())
    assert welch([1.0], Y) is None
    assert welch([0.1] * 3, [0.2] * 3) is None
    assert welch([0.1] * 3, Y) is not None


def test_non_inferiority_needs_the_whole_interval_above_minus_the_margin():
    low = welch(X, Y).interval[0]
    assert low < 0
    assert not_inferior(X, Y, -low + 0.01) is True
    assert not_inferior(X, Y, -low - 0.01) is False
    assert not_inferior([1.0], Y, 1) is None


def test_the_probability_of_improvement_is_mann_and_whitneys():
    x, y = np.round(X, 0), np.round(Y, 0)
    u = scipy.stats.mannwhitneyu(x, y).statistic
    assert improvement(x, y) == pytest.approx(u / 24)
    assert cliffs_delta(x, y) == pytest.approx(2 * u / 24 - 1)
    assert improvement(y, x) == pytest.approx(1 - u / 24)
    assert improvement([[1, 0], [1, 0]], [[0, 1]]) == 0.5


# Kaplan and Meier by hand: reached at 10, 20, 20, 40; watched without at 20 and 50.
#   at 10: 6 watched, 1 reached: 5/6; at 20: 5 watched, 2 reached: 5/6 * 3/5 = 1/2; at 40: 2 watched, 1: 1/4.
HAND = Times(np.array([10.0, 20, 20, 20, 40, 50]), np.array([True, True, True, False, True, False]))


def test_kaplan_meier_is_a_hand_table():
    at, left = kaplan_meier(HAND)
    assert at.tolist() == [10, 20, 40]
    assert left == pytest.approx([5 / 6, 1 / 2, 1 / 4])
    assert median_steps(HAND) == 20
    assert restricted_mean(HAND, 50) == pytest.approx(10 + 10 * 5 / 6 + 20 / 2 + 10 / 4)
    assert restricted_mean(HAND, 30) == pytest.approx(10 + 10 * 5 / 6 + 10 / 2)


def test_censored_runs_are_never_averaged_as_solved():
    times = Times.of([100, None, None, 300, None], 1000)
    assert times.solved == 0.4
    assert restricted_mean(times, 1000) == pytest.approx((100 + 300 + 3 * 1000) / 5)
    assert median_steps(times) is None
    assert median_steps(Times.of([100, None, 300, None], 1000)) == 300
    assert Times.of([1200], 1000).solved == 0


def test_nobody_and_everybody():
    none, every = Times.of([None] * 4, 1000), Times.of([200] * 4, 1000)
    assert restricted_mean(none, 1000) == 1000
    assert restricted_mean(every, 1000) == 200
    assert kaplan_meier(none)[0].tolist() == []
    assert restricted_mean_test(none, none, 1000).p == 1
    assert restricted_mean_test(every, none, 1000).p == pytest.approx(2 / comb(8, 4))
    assert Times.of([], 1000).solved is None
    assert restricted_mean(Times.of([], 10), 10) is None


def test_the_test_of_restricted_means_is_that_of_means_where_all_are_watched_to_the_end():
    x, y = [100, 400, None, 900, 150], [300, None, None, 950]
    ended = [np.array([1000 if t is None else t for t in z], float) for z in (x, y)]
    found = restricted_mean_test(Times.of(x, 1000), Times.of(y, 1000), 1000)
    assert found.difference == pytest.approx(ended[0].mean() - ended[1].mean())
    assert found.p == pytest.approx(brute(*ended, np.mean))
    turned = restricted_mean_test(Times.of(y[::-1], 1000), Times.of(x[::-1], 1000), 1000)
    assert (turned.p, turned.difference) == pytest.approx((found.p, -found.difference))


def test_steps_to_threshold_is_the_first_evaluation_that_reaches_it():
    curve = [(0, 1.0), (10, 5.0), (20, 4.0), (30, 6.0)]
    assert survival.steps_to_threshold(curve, 5.0) == 10
    assert survival.steps_to_threshold(curve, 7.0) is None
    assert survival.steps_to_threshold(curve, None) is None


def test_power_is_the_noncentral_ts():
    for n, m, d in itertools.product((2, 5, 20), (2, 10), (0, 0.5, 2)):
        df, shift = n + m - 2, d * np.sqrt(n * m / (n + m))
        critical = scipy.stats.t.ppf(0.975, df)
        want = scipy.stats.nct.sf(critical, df, shift) + scipy.stats.nct.cdf(-critical, df, shift)
        assert power.power(d, n, m) == pytest.approx(want)


def test_power_grows_with_effect_and_seeds_and_stays_finite():
    found = [power.power(d, n) for n in (2, 5, 50) for d in (0.1, 1, 10, 100, 1000)]
    assert all(0 < x <= 1 for x in found)
    assert found == [*sorted(found[:5]), *sorted(found[5:10]), *sorted(found[10:])]


def test_seeds_an_arm_for_a_power_of_80_percent():
    assert [power.seeds_needed(d) for d in (2, 1.5, 1, 0.8, 0.5)] == [6, 9, 17, 26, 64]
    assert power.power(power.detectable(10), 10) == pytest.approx(0.8)
    assert power.detectable(1, 10) is None and power.power(1, 1) is None
    assert [row["seeds"] for row in power.power_table()] == [64, 26, 17, 9, 6]


def test_what_a_curve_says():
    steps, values = np.arange(0, 101, 10), np.array([0, 2, 4, 6, 8, 10, 9, 8, 8, 8, 8], float)
    assert convergence.auc(steps, values, 100) == pytest.approx(scipy.integrate.trapezoid(values, steps) / 100)
    assert convergence.late_drop(values) == 2
    assert convergence.dispersion(values) == scipy.stats.iqr(np.diff(values))
    assert convergence.slope(steps, values) == 0
    assert convergence.slope(steps, steps / 5) == pytest.approx(0.2)
    assert convergence.auc([0], [1], 100) is convergence.slope([0, 1], [0, 1]) is convergence.dispersion([1]) is None
    assert convergence.late_drop([]) is None


def test_still_learning_is_a_slope_whose_interval_excludes_0():
    assert convergence.convergence([0.2, 0.21, 0.19])[2] is True
    assert convergence.convergence([0.2, -0.2, 0.1])[2] is False
    assert convergence.convergence([0.2])[1:] == (None, None)
    assert convergence.convergence([0.0] * 3) == (0, (0, 0), False)
