import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import stats

positive = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=40)


@given(positive)
def test_median_interval_holds_the_median_and_repeats(values: list[float]) -> None:
    low, high = stats.median_interval(values, seed=3)
    assert min(values) <= low <= np.median(values) <= high <= max(values)
    assert (low, high) == stats.median_interval(values, seed=3)


@given(positive, st.floats(0.01, 100))
def test_noise_and_cv_do_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    scaled = [v * unit for v in values]
    assert stats.noise_floor(scaled) == pytest.approx(stats.noise_floor(values), rel=1e-6)
    assert stats.cv(scaled) == pytest.approx(stats.cv(values), rel=1e-6, abs=1e-12)


def test_equal_runs_have_no_noise() -> None:
    assert stats.noise_floor([5.0] * 10) == 0
    assert stats.cv([0.0, 0.0]) == 0
    assert stats.median_interval([5.0] * 10) == (5, 5)


def test_noise_floor_is_what_repeated_measurements_show() -> None:
    generator = np.random.default_rng(1)
    floors = [stats.noise_floor(generator.normal(100, 1, 20)) for _ in range(200)]
    pairs = np.median(generator.normal(100, 1, (2, 4000, 20)), axis=2)
    seen = np.quantile(np.abs(pairs[0] / pairs[1] - 1), 0.95)
    assert np.median(floors) == pytest.approx(seen, rel=0.15)


@pytest.mark.parametrize("bad", [[1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_what_is_no_list_of_runs_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 finite"):
        stats.cv(bad)


def test_a_ratio_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        stats.paired_ratio([1.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("pairs", [6, 9])
@pytest.mark.parametrize("tail", [0.025, 0.1])
def test_signed_rank_quantile_against_every_outcome(pairs: int, tail: float) -> None:
    ranks = range(1, pairs + 1)
    sums = [
        sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=pairs)
    ]
    chance = [sum(s <= w for s in sums) / len(sums) for w in range(max(sums) + 1)]
    assert stats.signed_rank_quantile(pairs, tail) == sum(p <= tail for p in chance) - 1


def test_the_counted_and_the_normal_quantile_meet() -> None:
    for tail in (0.025, 0.001):
        below, above = (
            stats.signed_rank_quantile(stats.EXACT_SIGNED_RANK + more, tail) for more in (0, 1)
        )
        assert 0 < above - below < stats.EXACT_SIGNED_RANK


def test_paired_ratio_of_a_known_sample() -> None:
    base = [100.0, 200.0, 300.0, 400.0, 500.0, 600.0]
    logs = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    ratio = stats.paired_ratio(base, [b * math.exp(d) for b, d in zip(base, logs, strict=True)])
    assert math.log(ratio.value) == pytest.approx(0.035)
    assert (math.log(ratio.low), math.log(ratio.high)) == pytest.approx((0.01, 0.06))
    assert ratio.excludes_one


@given(positive)
def test_paired_ratio_swaps_sides(values: list[float]) -> None:
    base = values[::-1]
    ratio, swapped = stats.paired_ratio(base, values), stats.paired_ratio(values, base)
    assert ratio.value == pytest.approx(1 / swapped.value)
    if math.isfinite(ratio.high):
        assert ratio.low == pytest.approx(1 / swapped.high)


def test_too_few_pairs_prove_nothing() -> None:
    ratio = stats.paired_ratio([1.0] * 5, [2.0] * 5)
    assert (ratio.low, ratio.high) == (0, math.inf)
    assert not ratio.excludes_one


@pytest.mark.parametrize("noise", ["normal", "heavy", "bimodal"])
def test_the_interval_covers_the_truth(noise: str) -> None:
    generator = np.random.default_rng(7)
    shape = (2, 2000, 15)
    draws = {
        "normal": generator.normal(0, 0.01, shape),
        "heavy": 0.01 * generator.standard_t(1.5, shape),
        "bimodal": 0.002 * generator.normal(size=shape) + 0.05 * (generator.random(shape) < 0.2),
    }[noise]
    drift = np.cumsum(generator.normal(0, 0.01, shape[1:]), axis=1)
    base, new = np.exp(draws + drift)
    ratios = [stats.paired_ratio(b, 1.02 * n) for b, n in zip(base, new, strict=True)]
    covered = np.mean([ratio.low <= 1.02 <= ratio.high for ratio in ratios])
    assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(ratios))


def logs_of(noise: str, shape: tuple[int, ...]) -> stats.FloatArray:
    generator = np.random.default_rng(9)
    if noise == "normal":
        return generator.normal(0, 0.01, shape)
    return 0.005 * generator.exponential(size=shape) + 0.05 * (generator.random(shape) < 0.2)


@pytest.mark.parametrize("noise", ["normal", "skewed"])
@pytest.mark.parametrize("blocks", [6, 10, 40])
def test_the_block_score_of_equal_arms_is_standard(noise: str, blocks: int) -> None:
    trials = logs_of(noise, (3000, 3, blocks))
    scores = [stats.block_score(t[:2].T, t[2]) for t in trials]
    assert np.mean(np.abs(scores) > 1.96) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(trials))
    assert np.mean(np.abs(scores) > 3.09) < 0.002 + 3 * math.sqrt(0.002 / len(trials))


def test_the_second_base_run_narrows_the_interval() -> None:
    trials = np.exp(logs_of("skewed", (100, 3, 20)))
    widths = [
        [r.high - r.low for r in (stats.paired_ratio(a, b), stats.block_ratio(np.c_[a, c], b))]
        for a, b, c in trials
    ]
    single, double = np.mean(widths, axis=0)
    assert double < 0.9 * single


def test_block_ratio_covers_the_truth() -> None:
    trials = np.exp(logs_of("skewed", (600, 3, 15)))
    ratios = [stats.block_ratio(t[:2].T, 0.97 * t[2]) for t in trials]
    covered = np.mean([r.low <= 0.97 <= r.high for r in ratios])
    assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(ratios))


def test_block_ratio_of_exact_counts_and_of_too_few() -> None:
    ratio = stats.block_ratio(np.full((10, 2), 96.0), np.full(10, 48.0))
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.5, 0.5, 0.5), rel=1e-5)
    few = stats.block_ratio(np.ones((5, 2)), np.full(5, 2.0))
    assert (few.low, few.high) == (0, math.inf)
    assert few.value == pytest.approx(2, rel=1e-5)


def test_inverse_swaps_the_ends() -> None:
    assert stats.Ratio(2.0, 1.6, 2.5).inverse == stats.Ratio(0.5, 0.4, 0.625)
    assert stats.Ratio(2.0, 0.0, math.inf).inverse == stats.Ratio(0.5, 0.0, math.inf)
