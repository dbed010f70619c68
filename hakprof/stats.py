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
    def bound(self) -> float:
        """Largest relative difference that the interval leaves possible (0.02 = 2 %)."""
        return max(1.0 - self.low, self.high - 1.0)


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
    differences = _logs(new, least=1) - _logs(base, least=1)
    averages = np.sort(walsh_averages(differences))
    estimate = math.exp(np.median(averages))
    cut = signed_rank_quantile(differences.size, (1 - level) / 2)
    if cut < 0:
        return Ratio(estimate, 0.0, math.inf, level)
    return Ratio(estimate, math.exp(averages[cut]), math.exp(averages[-1 - cut]), level)


def walsh_averages(differences: FloatArray) -> FloatArray:
    """The n (n + 1) / 2 averages of each value with itself and with each later one."""
    i, j = np.triu_indices(differences.size)
    averages: FloatArray = (differences[i] + differences[j]) / 2
    return averages


EXACT_SIGNED_RANK = 60
"""Up to so many pairs the distribution is counted, beyond it is normal to three digits."""


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
