import math

import numpy as np
import pytest

from hakprof.compare import ALPHA, Comparison, Judgement, Looks, Verdicts, judge, judge_pairs
from hakprof.sequential import planned_looks
from hakprof.stats import FloatArray, Ratio

MOST = 40
LOOKS = planned_looks(8, MOST)
SURE = {Judgement.FASTER, Judgement.SLOWER}
NOISES = ["normal", "heavy", "skewed", "bimodal"]


def noise(kind: str, shape: tuple[int, ...], generator: np.random.Generator) -> FloatArray:
    """Log costs (trial, arm, block) whose pairs scatter by 1 to 2 %, on a drifting machine."""
    drift = np.cumsum(generator.normal(0, 0.004, (shape[0], 1, shape[2])), axis=2)
    match kind:
        case "normal":
            values = generator.normal(0, 0.01, shape)
        case "heavy":
            values = 0.008 * generator.standard_t(2, shape)
        case "skewed":
            values = 0.012 * generator.exponential(size=shape)
        case _:
            values = 0.004 * generator.normal(size=shape) + 0.04 * (generator.random(shape) < 0.15)
    return values + drift


def until_settled(costs: FloatArray) -> Verdicts:
    """As the command does: look, stop when settled. Rows: base, other arms, base again."""
    for i, blocks in enumerate(LOOKS):
        arms = {f"arm{k}": row[:blocks] for k, row in enumerate(costs[:-1])}
        verdicts = judge("arm0", costs[-1, :blocks], arms, Looks(LOOKS[: i + 1], MOST))
        if verdicts.settled:
            break
    return verdicts


def share_called_different(kind: str, arms: int, slowdown: float, trials: int) -> float:
    generator = np.random.default_rng(12)
    logs = noise(kind, (trials, arms + 1, MOST), generator)
    logs[:, 1] += math.log(1 + slowdown)
    results = [until_settled(np.exp(trial)) for trial in logs]
    return float(np.mean([any(c.judgement in SURE for c in v.arms) for v in results]))


@pytest.mark.parametrize("kind", NOISES)
def test_false_alarms_stay_within_alpha_with_early_stops(kind: str) -> None:
    trials = 200
    limit = ALPHA + 2.5 * math.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert share_called_different(kind, 2, 0.0, trials) <= limit


def test_false_alarms_of_five_arms_stay_within_alpha() -> None:
    trials = 60
    limit = ALPHA + 2.5 * math.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert share_called_different("skewed", 5, 0.0, trials) <= limit


@pytest.mark.parametrize("kind", NOISES)
def test_two_per_cent_are_found_in_nine_of_ten(kind: str) -> None:
    assert share_called_different(kind, 2, 0.02, 60) >= 0.9


def test_equal_counts_are_no_difference_and_settled() -> None:
    same = np.full(10, 27.4)
    verdicts = judge("a", same, {"a": same, "b": same}, Looks((10,), MOST))
    assert verdicts.arms[0].judgement is Judgement.NO_DIFFERENCE
    assert verdicts.arms[0].speed.bound == 0
    assert verdicts.settled
    assert verdicts.winner == ""


def test_clear_differences_are_named_with_their_size_and_the_winner() -> None:
    generator = np.random.default_rng(3)
    base, again, fast, slow = np.exp(generator.normal(0, 0.01, (4, 20)))
    arms = {"base": base, "fast": fast / 1.2, "slow": slow / 0.9}
    verdicts = judge("base", again, arms, Looks((20,), 20))
    found = {c.arm: c for c in verdicts.arms}
    assert found["fast"].judgement is Judgement.FASTER
    assert found["fast"].speed.low < 1.2 < found["fast"].speed.high
    assert found["slow"].judgement is Judgement.SLOWER
    assert found["slow"].speed.low < 0.9 < found["slow"].speed.high
    assert verdicts.winner == "fast"


def test_no_winner_where_the_first_two_are_equal() -> None:
    generator = np.random.default_rng(4)
    base, again, one, two = np.exp(generator.normal(0, 0.01, (4, 20)))
    arms = {"base": base, "one": one / 1.2, "two": two / 1.2}
    assert judge("base", again, arms, Looks((20,), 20)).winner == ""


def test_too_few_blocks_decide_nothing() -> None:
    one = np.ones(4)
    verdicts = judge("a", one, {"a": one, "b": 2 * one}, Looks((4,), 4))
    assert verdicts.arms[0].judgement is Judgement.UNDECIDED
    assert not verdicts.settled


def test_what_the_base_shows_against_itself_is_no_difference() -> None:
    again = np.full(20, 1.05) + np.linspace(0, 0.001, 20)
    base = np.ones(20)
    arms = {"base": base, "near": base / 1.03, "far": base / 1.2}
    verdicts = judge("base", again, arms, Looks((20,), 20))
    assert verdicts.same.judgement is Judgement.NO_DIFFERENCE
    assert verdicts.same.speed.excludes_one
    found = {c.arm: c.judgement for c in verdicts.arms}
    assert found == {"near": Judgement.NO_DIFFERENCE, "far": Judgement.FASTER}


@pytest.mark.parametrize(
    ("speed", "judgement"),
    [
        (Ratio(1.50, 1.42, 1.58), Judgement.FASTER),
        (Ratio(1.00, 0.996, 1.004), Judgement.NO_DIFFERENCE),
    ],
)
def test_more_blocks_would_not_matter(speed: Ratio, judgement: Judgement) -> None:
    assert Comparison("b", "a", speed, judgement, 10).settled


@pytest.mark.parametrize(
    ("speed", "judgement"),
    [
        (Ratio(1.05, 1.01, 1.09), Judgement.FASTER),
        (Ratio(1.00, 0.95, 1.05), Judgement.NO_DIFFERENCE),
        (Ratio(1.00, 0.0, math.inf), Judgement.UNDECIDED),
    ],
)
def test_more_blocks_would_matter(speed: Ratio, judgement: Judgement) -> None:
    assert not Comparison("b", "a", speed, judgement, 10).settled


def test_pairs_are_judged_together() -> None:
    chance = np.random.default_rng(3)
    base = chance.lognormal(0, 0.01, 12)
    pairs = {name: (base, base * factor) for name, factor in (("a", 0.5), ("b", 2.0))}
    pairs["same"] = (base, chance.lognormal(0, 0.01, 12))
    pairs["few"] = (base[:3], base[:3] / 2)
    found = {name: judgement for name, (_, judgement) in judge_pairs(pairs).items()}
    assert found == {
        "a": Judgement.FASTER,
        "b": Judgement.SLOWER,
        "same": Judgement.NO_DIFFERENCE,
        "few": Judgement.UNDECIDED,
    }
