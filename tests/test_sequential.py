from statistics import NormalDist

import numpy as np
import pytest

from hakprof.sequential import look_levels, planned_looks


def test_planned_looks_end_at_the_most() -> None:
    assert planned_looks(8, 40) == (10, 15, 20, 30, 40)
    assert planned_looks(8, 12) == (9, 12)
    assert planned_looks(8, 5) == (5,)


def test_one_look_at_the_end_spends_all() -> None:
    assert look_levels((40,), 40, 0.05)[0] == pytest.approx(0.95, abs=5e-4)


@pytest.mark.parametrize("looks", [(10, 15, 20, 30, 40), (40,), tuple(range(8, 41))])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_all_looks_together_keep_alpha(looks: tuple[int, ...], alpha: float) -> None:
    steps = np.sqrt(np.diff(looks, prepend=0))
    walks = np.random.default_rng(5).normal(size=(200_000, len(looks))) * steps
    scores = np.cumsum(walks, axis=1) / np.sqrt(looks)
    bounds = [NormalDist().inv_cdf((1 + level) / 2) for level in look_levels(looks, 40, alpha)]
    caught = np.mean(np.any(np.abs(scores) > bounds, axis=1))
    assert caught == pytest.approx(alpha, rel=0.03, abs=4 * np.sqrt(alpha / len(walks)))


def test_an_unplanned_stop_spends_no_more_than_its_share() -> None:
    early = look_levels((10, 13), 40, 0.05)
    assert early[0] == look_levels((10, 40), 40, 0.05)[0]
    assert early[1] > 0.99
