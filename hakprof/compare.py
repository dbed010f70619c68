"""Verdicts over arms that ran interleaved. Pure: costs of runs in, comparisons out.

A cost is a time (per op, or of the whole run), one a block and arm; less is better. Verdicts speak
of speed, base cost / arm cost: "faster by 10 %" is 10 % more work in the same time.

The base runs twice a block. Between its two runs nothing differs, so what they show is noise: that
is printed as what can be seen here today, and where chance makes even those two differ, no arm is
called different unless by more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from hakprof.sequential import look_levels
from hakprof.stats import FloatArray, Ratio, block_ratio, paired_ratio

ALPHA = 0.05
"""Chance of calling at least one arm different in a command in which all are equal."""

RESOLUTION = 0.01
"""An interval of a sure difference whose half width is below this is narrow enough to stop."""

PROPORTION = 0.2
"""So is one whose half width is below this share of the difference."""

NEGLIGIBLE = 0.005
"""So is one that leaves no more than this possible: half of the least that is promised to be found,
or a true difference of that size would often end as none."""


Name = TypeVar("Name")
Bounds = TypeVar("Bounds")


class Judgement(StrEnum):
    """What the interval says about the speed of an arm against the base."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference"
    UNDECIDED = "undecided"  # too few blocks for any interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm against the base: its speed as a ratio, and what may be said of it."""

    arm: str
    base: str
    speed: Ratio
    judgement: Judgement
    blocks: int

    @property
    def settled(self) -> bool:
        """More blocks would not change what is said in a way that matters."""
        half_width = (self.speed.high - self.speed.low) / 2
        if self.judgement in {Judgement.FASTER, Judgement.SLOWER}:
            return half_width <= max(RESOLUTION, PROPORTION * abs(self.speed.value - 1))
        return self.speed.bound <= NEGLIGIBLE


@dataclass(frozen=True, slots=True)
class Verdicts:
    """All of one command: the A/A check, each arm against the base, the winner if there is one."""

    same: Comparison  # the base against itself
    arms: tuple[Comparison, ...]
    winner: str  # "" where no arm is faster than every other

    @property
    def settled(self) -> bool:
        """No verdict needs more blocks."""
        return all(comparison.settled for comparison in self.arms)


@dataclass(frozen=True, slots=True)
class Looks:
    """At which block counts was looked, the last one now, of how many at most."""

    counts: tuple[int, ...]
    most: int

    def level(self, alpha: float) -> float:
        """Confidence level of an interval that is formed now; all looks together keep alpha."""
        return look_levels(self.counts, self.most, alpha)[-1]


def judge(base: str, again: FloatArray, costs: Mapping[str, FloatArray], looks: Looks) -> Verdicts:
    """Compare each arm of `costs` with `base`, itself among them; `again` is its second run.

    All arrays have one positive cost a block, in the order of the blocks. The chance that any of
    several equal arms is called different stays within ALPHA (Holm's step-down procedure).
    """
    once = costs[base]
    same = paired_ratio(again, once, level=looks.level(ALPHA))
    margin = same.bound if same.excludes_one else 0.0
    speed_over = _Speeds(base, again, costs)
    others = [arm for arm in costs if arm != base]
    speeds = step_down(
        others,
        lambda arm, level: speed_over(base, arm, level),
        lambda speed: speed.excludes_one,
        looks,
    )
    return Verdicts(
        same=Comparison(base, base, same, _judgement(same, margin), once.size),
        arms=tuple(
            Comparison(arm, base, speeds[arm], _judgement(speeds[arm], margin), once.size)
            for arm in others
        ),
        winner=_winner(list(costs), speed_over, looks, margin),
    )


def judge_pairs(
    pairs: Mapping[Name, tuple[FloatArray, FloatArray]],
) -> dict[Name, tuple[Ratio, Judgement]]:
    """Speed of each pair of costs (base, other), block by block, judged once after the last block.

    The chance that any of several equal pairs is called different stays within ALPHA (Holm).
    """
    speeds = step_down(
        pairs,
        lambda name, level: paired_ratio(pairs[name][1], pairs[name][0], level=level),
        lambda speed: speed.excludes_one,
        Looks((1,), 1),
    )
    return {name: (speed, _judgement(speed, 0.0)) for name, speed in speeds.items()}


@dataclass(frozen=True, slots=True)
class _Speeds:
    """Speed of one arm over that of another, by all that the blocks say about the two."""

    base: str
    again: FloatArray
    costs: Mapping[str, FloatArray]

    def __call__(self, slow: str, fast: str, level: float) -> Ratio:
        if fast == self.base:
            return self(fast, slow, level).inverse
        if slow == self.base:
            base_runs = np.column_stack([self.costs[slow], self.again])
            return block_ratio(1 / base_runs, 1 / self.costs[fast], level=level)
        return paired_ratio(self.costs[fast], self.costs[slow], level=level)


def step_down(
    names: Iterable[Name],
    bounded: Callable[[Name, float], Bounds],
    sure: Callable[[Bounds], bool],
    looks: Looks,
) -> dict[Name, Bounds]:
    """What each is bounded by, at the level at which Holm's procedure decides it.

    All are tried at alpha / their number. Those that are `sure` are decided; the others, now
    fewer, are tried again, until no more come.
    """
    decided: dict[Name, Bounds] = {}
    left = list(names)
    while left:
        level = looks.level(ALPHA / len(left))
        bounds = {name: bounded(name, level) for name in left}
        decided |= {name: b for name, b in bounds.items() if sure(b)} or bounds
        left = [name for name in left if name not in decided]
    return decided


def _winner(arms: list[str], speed_over: _Speeds, looks: Looks, margin: float) -> str:
    """The arm that is faster than each other arm, "" if none is surely so.

    A false winner must beat the true one; there are len - 1 who could, so each test gets that
    share of alpha, and the leader need not be known beforehand.
    """
    if len(arms) == 1:
        return ""
    level = looks.level(ALPHA / (len(arms) - 1))
    leader = min(arms, key=lambda arm: float(np.median(speed_over.costs[arm])))
    beaten = (speed_over(arm, leader, level).low > 1 + margin for arm in arms if arm != leader)
    return leader if all(beaten) else ""


def _judgement(speed: Ratio, margin: float) -> Judgement:
    if speed.high == float("inf"):
        return Judgement.UNDECIDED
    if speed.low > 1 + margin:
        return Judgement.FASTER
    if speed.high < 1 - margin:
        return Judgement.SLOWER
    return Judgement.NO_DIFFERENCE
