import numpy as np
import pytest

from hakprof.scaling import Cause, fit_law, knee

THREADS = (1, 2, 4, 8, 16)


def curve(
    contention: float, coherence: float, cores: int, noise: float = 0.01
) -> dict[int, list[float]]:
    generator = np.random.default_rng(1)
    return {
        n: [
            1e7
            * min(n, cores)
            / (1 + contention * (n - 1) + coherence * n * (n - 1))
            * np.exp(generator.normal(0, noise))
            for _ in range(5)
        ]
        for n in THREADS
    }


@pytest.mark.parametrize("cores", [2, 16])
@pytest.mark.parametrize(
    ("contention", "coherence", "cause"),
    [
        (0.0, 0.0, Cause.NOTHING),
        (0.2, 0.0, Cause.CONTENTION),
        (0.0, 0.02, Cause.COHERENCE),
        (0.16, 0.01, Cause.UNCLEAR),
    ],
)
def test_the_law_behind_a_curve_is_found(
    contention: float, coherence: float, cores: int, cause: Cause
) -> None:
    law = fit_law(curve(contention, coherence, cores), cores)
    assert law is not None
    assert law.cause is cause
    assert law.rate.value == pytest.approx(1e7, rel=0.05)
    assert law.contention.low - 0.01 <= contention <= law.contention.high + 0.01
    assert law.coherence.low - 0.001 <= coherence <= law.coherence.high + 0.001
    assert law.misfit < 0.05
    assert law.throughput(1) == pytest.approx(law.rate.value)


def test_two_thread_counts_fit_nothing() -> None:
    assert fit_law({1: [1.0], 2: [2.0]}, 2) is None


def test_a_curve_no_law_describes_has_a_misfit() -> None:
    law = fit_law({1: [1.0], 2: [0.2], 4: [4.0], 8: [0.3]}, 8)
    assert law is not None
    assert law.misfit > 0.5
    assert law.cause is Cause.NO_LAW


def test_faster_than_linear_is_no_loss() -> None:
    law = fit_law({1: [1.0], 2: [2.1], 4: [4.4]}, 4)
    assert law is not None
    assert law.cause is Cause.NOTHING


def test_the_knee_is_where_more_threads_add_nothing() -> None:
    assert knee({1: [10.0], 2: [19.0], 4: [19.5], 8: [12.0]}) == 2
    assert knee({1: [10.0], 2: [19.0], 4: [30.0]}) == 4
