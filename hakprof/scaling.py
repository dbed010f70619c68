"""How throughput grows with threads, and what holds it back: contention or coherence.

The Universal Scalability Law (Gunther, 1993), over the parallelism that the machine can give:

    X(n) = rate * min(n, cores) / (1 + contention (n - 1) + coherence n (n - 1))

`contention` is the share of the work that only one thread can do at a time (a lock); it makes the
curve flatten. `coherence` is the cost of each pair of threads that exchange data (cache lines that
bounce, blocks freed by others); it makes the curve bend down. Up to the number of cores this is the
law as published; beyond it, perfect scaling is a flat line, and what is lost there counts too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from hakprof.stats import CONFIDENCE, FloatArray

RESAMPLES = 400
LEAST_POINTS = 3
"""Three unknowns need three thread counts."""

NEGLIGIBLE = 0.05
"""A loss below this share of perfect scaling at the highest thread count is not worth a name."""

MISFIT = 0.25
"""A curve that misses a point by more does not describe the points."""

GAIN = 0.05
"""Further threads that add less than this are beyond the knee."""


class Cause(StrEnum):
    """What most of the loss at the highest thread count comes from."""

    NOTHING = "scales"
    CONTENTION = "contention"
    COHERENCE = "coherence"
    UNCLEAR = "contention or coherence: these runs cannot tell"
    NO_LAW = "something else: no such law fits"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A fitted number with its 95 % interval over resampled runs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """The fitted law, and how it is read."""

    rate: Coefficient  # ops/s of one thread alone
    contention: Coefficient
    coherence: Coefficient
    cores: int
    cause: Cause
    misfit: float  # largest relative distance of a median from the curve

    def throughput(self, threads: float) -> float:
        """Ops/s that the law gives for so many threads."""
        loss = self.contention.value * (threads - 1) + self.coherence.value * threads * (
            threads - 1
        )
        return self.rate.value * min(threads, self.cores) / (1 + loss)


def fit_law(
    throughputs: Mapping[int, Sequence[float]], cores: int, *, seed: int = 0
) -> ScalingLaw | None:
    """Fit to ops/s of repeated runs by thread count; None with fewer than three thread counts.

    Linear in disguise: min(n, cores) / X is a sum of three terms with coefficients that cannot be
    negative. Each row is weighted so that relative errors count.
    """
    if len(throughputs) < LEAST_POINTS:
        return None
    threads = np.array(sorted(throughputs), dtype=np.float64)
    runs = [np.asarray(throughputs[int(n)], dtype=np.float64) for n in threads]
    medians = np.array([np.median(values) for values in runs])
    best = _solve(threads, medians, cores)
    generator = np.random.default_rng(seed)
    drawn = np.array(
        [
            _solve(threads, np.array([np.median(generator.choice(v, v.size)) for v in runs]), cores)
            for _ in range(RESAMPLES)
        ]
    )
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    rate, contention, coherence = (
        Coefficient(float(value), float(low), float(high))
        for value, (low, high) in zip(best, np.quantile(drawn, tails, axis=0).T, strict=True)
    )
    law = ScalingLaw(rate, contention, coherence, cores, _cause(drawn, threads[-1]), misfit=0.0)
    misfit = max(abs(law.throughput(n) / x - 1) for n, x in zip(threads, medians, strict=True))
    cause = Cause.NO_LAW if misfit > MISFIT else law.cause
    return replace(law, cause=cause, misfit=float(misfit))


def knee(throughputs: Mapping[int, Sequence[float]]) -> int:
    """The fewest threads that reach the most throughput of all thread counts, less 5 %."""
    medians = {n: float(np.median(values)) for n, values in throughputs.items()}
    return min(n for n, value in medians.items() if value >= max(medians.values()) / (1 + GAIN))


def _solve(threads: FloatArray, throughput: FloatArray, cores: int) -> tuple[float, float, float]:
    """(rate, contention, coherence) of least squares in relative error, none negative."""
    from scipy.optimize import nnls  # noqa: PLC0415 (half a second that only a fit should cost)

    cost = np.minimum(threads, cores) / throughput
    terms = np.column_stack([np.ones_like(threads), threads - 1, threads * (threads - 1)])
    (base, serial, pairs), _ = nnls(terms / cost[:, None], np.ones_like(cost))
    if base <= 0:  # the curve rises faster than any rate allows: no loss to explain
        return float(1 / np.median(cost)), 0.0, 0.0
    return float(1 / base), float(serial / base), float(pairs / base)


def _cause(drawn: FloatArray, most: float) -> Cause:
    """What dominates the loss at `most` threads in 95 % of the resampled fits."""
    serial, pairs = drawn[:, 1] * (most - 1), drawn[:, 2] * most * (most - 1)
    lost = serial + pairs
    small = lost < NEGLIGIBLE
    for cause, holds in (
        (Cause.NOTHING, small),
        (Cause.CONTENTION, (serial > pairs) & ~small),
        (Cause.COHERENCE, (pairs >= serial) & ~small),
    ):
        if np.mean(holds) >= CONFIDENCE:
            return cause
    return Cause.UNCLEAR
