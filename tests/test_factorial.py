"""Designs and effects on costs whose true effects are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakprof.factorial import MOST_SWITCHES, Design, contrasts, design, members

FULL = [design(k, 1 << k) for k in range(1, 6)]
FRACTIONS = [
    design(5, 16),
    design(6, 16),
    design(7, 16),
    design(8, 16),
    design(7, 8),
    design(8, 64),
]
effect_sizes = st.floats(-100, 100, allow_nan=False)


def cost(arm: int, effects: dict[int, float], level: float = 50.0) -> float:
    """The cost of an arm by the definition: a word of n switches moves it by effect / 2^n."""
    return level + sum(
        value
        / 2 ** len(members(word))
        * np.prod([1 if arm >> i & 1 else -1 for i in members(word)])
        for word, value in effects.items()
    )


@pytest.mark.parametrize(
    ("switches", "arms", "share", "resolution"),
    [
        (4, 16, 1, 0),
        (5, 16, 2, 5),
        (6, 16, 4, 4),
        (7, 16, 8, 4),
        (8, 16, 16, 4),
        (6, 32, 2, 6),
        (8, 64, 4, 5),
        (7, 8, 16, 3),
        (3, 4, 2, 3),
        (5, 31, 2, 5),
    ],
)
def test_fractions_are_the_best_known(
    switches: int, arms: int, share: int, resolution: int
) -> None:
    found = design(switches, arms)
    assert (found.share, found.resolution) == (share, resolution)
    assert len(found.arms) == min(1 << (arms.bit_length() - 1), 1 << switches)


@pytest.mark.parametrize(("switches", "arms"), [(8, 4), (3, 2), (1, 1), (0, 4)])
def test_too_few_arms_are_refused(switches: int, arms: int) -> None:
    with pytest.raises(ValueError, match="cannot tell"):
        design(switches, arms)


@pytest.mark.parametrize("plan", [*FULL, *FRACTIONS], ids=str)
def test_every_design_is_balanced(plan: Design) -> None:
    assert plan.arms[0] == 0
    assert len(set(plan.arms)) == len(plan.arms)
    half = len(plan.arms) // 2
    for i in range(plan.switches):
        on = [arm for arm in plan.arms if arm >> i & 1]
        assert len(on) == half
        if plan.resolution != 3:
            for j in range(i):
                assert sum(arm >> j & 1 for arm in on) == half // 2


@given(st.data())
@settings(max_examples=60)
def test_a_full_factorial_finds_every_effect(data: st.DataObject) -> None:
    plan = data.draw(st.sampled_from(FULL))
    words = range(1, 1 << plan.switches)
    effects = {word: data.draw(effect_sizes) for word in words}
    found = contrasts(plan, plan.arms, plan.switches)
    assert sorted(found.words) == list(words)
    estimates = found.weights @ [cost(arm, effects) for arm in plan.arms]
    assert estimates == pytest.approx([effects[word] for word in found.words], abs=1e-9)


@given(st.data())
@settings(max_examples=60)
def test_a_fraction_finds_sums_of_aliases(data: st.DataObject) -> None:
    plan = data.draw(st.sampled_from(FRACTIONS))
    effects = {
        w: data.draw(effect_sizes) for w in range(1, 1 << plan.switches) if len(members(w)) < 3
    }
    found = contrasts(plan, plan.arms, 2)
    estimates = found.weights @ [cost(arm, effects) for arm in plan.arms]
    for word, estimate in zip(found.words, estimates, strict=True):
        order = len(members(word))
        true = effects[word] + sum(
            effects.get(alias, 0.0)
            * (-1) ** (len(members(alias)) - order)
            * 2.0 ** (order - len(members(alias)))
            for alias in plan.aliases(word)
        )
        assert estimate == pytest.approx(true, abs=1e-9)


def test_a_pair_costs_more_than_its_parts() -> None:
    costs = {0b00: 10.0, 0b01: 13.0, 0b10: 12.0, 0b11: 20.0}
    plan = design(2, 4)
    found = contrasts(plan, plan.arms, 2)
    assert found.words == (0b01, 0b10, 0b11)
    assert list(found.weights @ [costs[arm] for arm in plan.arms]) == pytest.approx([5.5, 4.5, 5.0])


@given(st.data())
@settings(max_examples=60)
def test_missing_arms_leave_the_shorter_words(data: st.DataObject) -> None:
    plan = FULL[3]
    gone = data.draw(st.sets(st.sampled_from(plan.arms), max_size=4))
    effects = {w: data.draw(effect_sizes) for w in range(1, 16) if len(members(w)) < 3}
    arms = [arm for arm in plan.arms if arm not in gone]
    found = contrasts(plan, arms, 2)
    if found.order < 2:
        return  # the arms that are left cannot tell
    estimates = found.weights @ [cost(arm, effects) for arm in arms]
    assert estimates == pytest.approx([effects[word] for word in found.words], abs=1e-7)


def test_the_order_falls_with_the_arms() -> None:
    plan = design(3, 8)
    assert contrasts(plan, plan.arms, 9).order == 3
    assert contrasts(plan, plan.arms[:7], 3).order == 2
    assert contrasts(plan, plan.arms[:4], 3).order == 1
    assert contrasts(plan, (0b000, 0b011, 0b101), 3).words == ()
    assert contrasts(plan, (), 3).words == ()


def test_aliases_are_mutual() -> None:
    plan = design(6, 16)
    for word in range(1, 1 << 6):
        for alias in plan.aliases(word):
            assert word in plan.aliases(alias)


def test_the_most_switches_are_planned_at_once() -> None:
    assert len(design(MOST_SWITCHES, 16).arms) == 16
    assert members(0b10110) == [1, 2, 4]


def test_a_switch_that_never_moved_has_no_effect() -> None:
    plan = design(3, 8)
    off = [arm for arm in plan.arms if not arm & 0b001]
    found = contrasts(plan, off, 2)
    assert found.words == (0b010, 0b100, 0b110)
    assert list(found.weights @ [5.0 + (arm >> 1 & 1) for arm in off]) == pytest.approx([1, 0, 0])
