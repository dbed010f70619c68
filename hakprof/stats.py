"""Intervals and noise of repeated runs. NumPy arrays in, plain floats out; nothing is printed.

One value a run (a time, a rate, a count). Ratios are formed on the log scale, so that "A is
1.1 x B" and "B is A / 1.1" are the same statement; their values must be positive. How each rule was
chosen, and what was simulated and measured to trust it, is in docs/statistics.md.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
EXACT_SIGNED_RANK = 60
"""Up to so many pairs the distribution is counted, beyond it is normal to three digits."""
LEAST_BLOCKS = 6
"""Fewer make neither a coin flip improbable enough nor the sum of scores normal enough."""
SHIFT_PRECISION = 1e-6
"""To which the ends of a block ratio's interval are found, relative."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """An estimated ratio new/base, 1.0 = equal, with the interval at `level`."""

    value: float
    low: float
    high: float
    level: float = CONFIDENCE

    @property
    def excludes_one(self) -> bool:
        """The interval says that the two differ."""
        return not self.low <= 1.0 <= self.high

    @property
    def inverse(self) -> "Ratio":
        """The ratio base/new."""
        high = 1 / self.low if self.low else math.inf
        return Ratio(1 / self.value, 1 / self.high, high, self.level)

    @property
    def bound(self) -> float:
        """Largest relative difference that the interval leaves possible (0.02 = 2 %)."""
        return max(1.0 - self.low, self.high - 1.0)


@dataclass(frozen=True, slots=True)
class Shift:
    """An estimated difference, 0.0 = none, with the interval at `level`."""

    value: float
    low: float
    high: float
    level: float = CONFIDENCE

    @property
    def excludes_zero(self) -> bool:
        """The interval says that there is a difference."""
        return not self.low <= 0.0 <= self.high

    @property
    def bound(self) -> float:
        """Largest difference, of either sign, that the interval leaves possible."""
        return max(-self.low, self.high)

    def widened(self, margin: float) -> "Shift":
        """The same with an interval that reaches further on either side."""
        return Shift(self.value, self.low - margin, self.high + margin, self.level)


def cv(values: ArrayLike) -> float:
    """Coefficient of variation: sample standard deviation over mean. Needs two values."""
    array = _values(values, least=2)
    deviation = float(np.std(array, ddof=1))
    return deviation / float(np.mean(array)) if deviation else 0.0


def median_interval(values: ArrayLike, *, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median. Needs two values."""
    medians = np.median(_resampled(_values(values, least=2), seed), axis=1)
    low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def noise_floor(values: ArrayLike, *, seed: int = 0) -> float:
    """Relative difference of two sets of this many equal runs, not exceeded in 95 % of cases.

    Two sets are drawn with replacement from `values` and their medians divided, many times over:
    a difference between two such measurements below this is nothing. Needs two values.
    """
    logs = _logs(values, least=2)
    one, other = (np.median(_resampled(logs, seed + i), axis=1) for i in (0, 1))
    return math.expm1(float(np.quantile(np.abs(one - other), CONFIDENCE)))


def paired_ratio(base: ArrayLike, new: ArrayLike, *, level: float = CONFIDENCE) -> Ratio:
    """Hodges-Lehmann estimate of new/base over pairs, with the Wilcoxon signed-rank interval.

    `base[i]` and `new[i]` ran next to each other in random order: then the sign of each log ratio
    is a coin flip if the two are equal, whatever the noise looks like, and the interval is exact.
    With too few pairs for the level (fewer than 6 at 95 %) the interval is 0..inf.
    """
    shift = paired_shift(_logs(new, least=1) - _logs(base, least=1), level=level)
    low, high = (math.exp(end) for end in (shift.low, shift.high))
    return Ratio(math.exp(shift.value), low, high, level)


def paired_shift(differences: ArrayLike, *, level: float = CONFIDENCE) -> Shift:
    """Hodges-Lehmann estimate of the middle of differences that are as likely up as down around it.

    Its interval is that of the Wilcoxon signed-rank test; -inf..inf with too few for the level.
    """
    array = _values(differences, least=1)
    averages = np.sort(_walsh_averages(array))
    estimate = float(np.median(averages))
    cut = signed_rank_quantile(array.size, (1 - level) / 2)
    if cut < 0:
        return Shift(estimate, -math.inf, math.inf, level)
    return Shift(estimate, float(averages[cut]), float(averages[-1 - cut]), level)


def block_ratio(base: ArrayLike, new: ArrayLike, *, level: float = CONFIDENCE) -> Ratio:
    """Estimate new/base over blocks in which the base ran twice and the new arm once.

    `base` has a row of two a block. The second run of the base is there anyway, as the A/A check;
    using it narrows the interval as a third more pairs would. The interval holds each ratio at
    which `block_score` is no surprise; the estimate is the ratio at which that is 0.
    """
    rows = np.column_stack([_logs(column, least=1) for column in np.transpose(base)])
    logs = _logs(new, least=1)
    estimate = math.exp(_shift_with_score(rows, logs, 0.0))
    if logs.size < LEAST_BLOCKS or 2 / 3.0**logs.size > 1 - level:
        return Ratio(estimate, 0.0, math.inf, level)
    surprise = NormalDist().inv_cdf((1 + level) / 2)
    low, high = (_shift_with_score(rows, logs, score) for score in (surprise, -surprise))
    return Ratio(estimate, math.exp(low), math.exp(high), level)


def block_score(base: FloatArray, new: FloatArray) -> float:
    """How far the new arm stands above the base, in standard deviations of pure chance.

    Signed ranks of the differences new - base, summed over all blocks; the ranks are among all
    differences within blocks, so they do not depend on which run of a block bore which name. If
    the arms are equal each run of a block was as likely to be the new one: this gives the mean, 0,
    and the variance, block by block, whatever the noise. Logarithms, `base` with two columns.
    """
    differences = np.column_stack([new - base[:, 0], new - base[:, 1], base[:, 0] - base[:, 1]])
    first, second, bases = (np.sign(differences) * _midranks(np.abs(differences))).T
    as_named = first + second
    variance = np.sum(as_named**2 + (bases - first) ** 2 + (bases + second) ** 2) / 3
    return float(np.sum(as_named) / math.sqrt(variance)) if variance else 0.0


def _shift_with_score(base: FloatArray, new: FloatArray, score: float) -> float:
    """The log ratio by which `new` must be shortened to score this; bisection on a falling step."""
    differences = new[:, None] - base
    low, high = float(differences.min()) - 1e-9, float(differences.max()) + 1e-9
    while high - low > SHIFT_PRECISION:
        middle = (low + high) / 2
        above = block_score(base, new - middle) > score
        low, high = (middle, high) if above else (low, middle)
    return (low + high) / 2


def _midranks(array: FloatArray) -> FloatArray:
    """Rank 1..n of each element among all; equal ones share the middle of theirs."""
    ordered = np.sort(array, axis=None)
    below = np.searchsorted(ordered, array, side="left")
    return (below + np.searchsorted(ordered, array, side="right") + 1) / 2


def _walsh_averages(differences: FloatArray) -> FloatArray:
    """The n (n + 1) / 2 averages of each value with itself and with each later one."""
    i, j = np.triu_indices(differences.size)
    averages: FloatArray = (differences[i] + differences[j]) / 2
    return averages


def signed_rank_quantile(pairs: int, tail: float) -> int:
    """Largest w with P(W <= w) <= tail, for the signed-rank sum W of `pairs` coin flips; -1: none.

    The w lowest and the w highest Walsh averages lie outside the interval (Lehmann, 1975).
    """
    if pairs <= EXACT_SIGNED_RANK:
        ways = np.ones(1)
        for rank in range(1, pairs + 1):
            ways = np.concatenate([ways, np.zeros(rank)])
            ways[rank:] += ways[:-rank].copy()
        return int(np.searchsorted(np.cumsum(ways) / 2.0**pairs, tail, side="right")) - 1
    mean = pairs * (pairs + 1) / 4
    deviation = math.sqrt(pairs * (pairs + 1) * (2 * pairs + 1) / 24)
    return max(-1, math.floor(mean + NormalDist().inv_cdf(tail) * deviation - 0.5))


def _resampled(array: FloatArray, seed: int) -> FloatArray:
    generator = np.random.default_rng(seed)
    return array[generator.integers(array.size, size=(RESAMPLES, array.size))]


def _values(values: ArrayLike, *, least: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < least or not np.all(np.isfinite(array)):
        raise ValueError(f"needs a flat list of at least {least} finite values")
    return array


def _logs(values: ArrayLike, *, least: int) -> FloatArray:
    array = _values(values, least=least)
    if not np.all(array > 0):
        raise ValueError("a ratio needs positive values")
    logs: FloatArray = np.log(array)
    return logs
