"""Effects on noisy costs whose true effects are known; nothing here is timed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from hakprof.compare import Looks
from hakprof.effects import bounded_effects, exact_effects, settled
from hakprof.factorial import contrasts, design
from hakprof.stats import FloatArray, Shift, paired_shift

PLAN = design(3, 8)
TOLD = contrasts(PLAN, PLAN.arms, 2)
FIRST, SECOND, THIRD, BOTH = 0b001, 0b010, 0b100, 0b011


def noise_of(chance: Generator, kind: str, shape: tuple[int, int]) -> FloatArray:
    """Noise with the faults of a real machine: skewed, in two modes, with bursts."""
    if kind == "skewed":
        return chance.lognormal(-3, 1, shape)
    if kind == "modes":
        return 0.3 * chance.integers(0, 2, shape) + chance.normal(0, 0.02, shape)
    return chance.normal(0, 0.05, shape) + 3.0 * (chance.random(shape) < 0.05)


def costs_of(chance: Generator, kind: str, blocks: int, effects: dict[int, float]) -> FloatArray:
    """A row an arm; every block has a level of its own, as a drifting machine has."""
    drift = 10.0 + np.cumsum(chance.normal(0, 0.3, blocks))
    rows = noise_of(chance, kind, (len(PLAN.arms), blocks)) + drift
    for i, arm in enumerate(PLAN.arms):
        rows[i] += sum(value for word, value in effects.items() if word & arm == word)
    return rows


def again_of(rows: FloatArray) -> FloatArray:
    """The base's second run: as noisy around the first as others are around it."""
    return rows[0] + np.random.default_rng(9).normal(0, 0.1, rows.shape[1])


@pytest.mark.parametrize("kind", ["skewed", "modes", "bursts"])
def test_true_effects_lie_within_their_intervals(kind: str) -> None:
    """First costs 1, second 0, third saves 0.5; the first two together cost 0.8 more."""
    true = {FIRST: 1.0 + 0.4, SECOND: 0.4, THIRD: -0.5, BOTH: 0.8, 0b101: 0.0, 0b110: 0.0}
    missed = found = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        rows = costs_of(chance, kind, 30, {FIRST: 1.0, THIRD: -0.5, BOTH: 0.8})
        effects = bounded_effects(TOLD, list(rows), again_of(rows), Looks((30,), 30))
        missed += any(not e.low <= true[w] <= e.high for w, e in effects.items())
        found += effects[FIRST].excludes_zero and effects[FIRST].value > 0
    assert missed <= 8
    assert found == 60


@pytest.mark.parametrize("kind", ["skewed", "modes", "bursts"])
def test_nothing_is_found_where_there_is_nothing(kind: str) -> None:
    alarms = 0
    for seed in range(200):
        rows = costs_of(np.random.default_rng(seed), kind, 20, {})
        effects = bounded_effects(TOLD, list(rows), again_of(rows), Looks((20,), 20))
        alarms += any(effect.excludes_zero for effect in effects.values())
    assert alarms <= 20, "at most 5 % of commands, all words together, and what chance adds to 200"


def test_an_effect_is_more_than_what_the_base_differs_from_itself() -> None:
    """A machine that shows 0.5 between two runs of the same shows no effect of 0.3."""
    chance = np.random.default_rng(3)
    rows = costs_of(chance, "modes", 30, {FIRST: 5.0, THIRD: 0.3})
    steady = bounded_effects(
        TOLD, list(rows), rows[0] + chance.normal(0, 0.1, 30), Looks((30,), 30)
    )
    moved = bounded_effects(TOLD, list(rows), rows[0] + 0.5, Looks((30,), 30))
    assert steady[THIRD].excludes_zero
    assert not moved[THIRD].excludes_zero
    assert moved[FIRST].excludes_zero
    assert moved[FIRST].low == pytest.approx(steady[FIRST].low - 0.5, abs=0.05)
    assert moved[BOTH].low == pytest.approx(steady[BOTH].low - 1.0, abs=0.2), "of two differences"


def test_one_large_effect_hides_and_fakes_no_other() -> None:
    rows = costs_of(np.random.default_rng(1), "modes", 40, {FIRST: 50.0})
    effects = bounded_effects(TOLD, list(rows), again_of(rows), Looks((40,), 40))
    assert effects[FIRST].value == pytest.approx(50.0, abs=0.2)
    assert [word for word, effect in effects.items() if effect.excludes_zero] == [FIRST]


def test_too_few_blocks_bound_nothing() -> None:
    rows = costs_of(np.random.default_rng(1), "modes", 4, {FIRST: 1.0})
    effects = bounded_effects(TOLD, list(rows), again_of(rows), Looks((4,), 4))
    assert all(effect.bound == np.inf for effect in effects.values())


@given(st.lists(st.floats(0, 0.2), min_size=8, max_size=8), st.data())
@settings(max_examples=60)
def test_counts_within_their_errors_keep_the_truth_within_the_limits(
    errors: list[float], data: st.DataObject
) -> None:
    true = {FIRST: 4.0, SECOND: 0.0, THIRD: -2.0, BOTH: 1.0}
    counts = [20 + sum(v for w, v in true.items() if w & arm == w) for arm in PLAN.arms]
    seen = [
        count + error * data.draw(st.floats(-1, 1))
        for count, error in zip(counts, errors, strict=True)
    ]
    effects = exact_effects(TOLD, seen, errors)
    expected = {FIRST: 4.5, SECOND: 0.5, THIRD: -2.0, BOTH: 1.0, 0b101: 0.0, 0b110: 0.0}
    for word, effect in effects.items():
        assert effect.low - 1e-9 <= expected[word] <= effect.high + 1e-9


@pytest.mark.parametrize(
    ("effect", "enough"),
    [
        (Shift(1.0, 0.9, 1.1), True),
        (Shift(1.0, 0.2, 1.8), False),
        (Shift(0.0, -0.02, 0.04), True),
        (Shift(0.0, -0.5, 0.09), False),
    ],
)
def test_narrow_intervals_are_enough(effect: Shift, enough: bool) -> None:  # noqa: FBT001
    assert settled({FIRST: effect}, base_cost=10.0) is enough


def test_a_shift_is_the_middle_of_symmetric_differences() -> None:
    shift = paired_shift([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert shift.value == 4.0
    assert (shift.low, shift.high) == (2.0, 6.0)
    assert shift.excludes_zero
    assert shift.bound == 6.0
