"""A comparison while it runs: takes samples as they come, says when enough is known.

    contest = Contest(plan, base)
    for sample in run_blocks(contest.plan, VariedLayout(backend)):
        contest.take(sample)
        if contest.finished:
            break
    contest.verdicts()

Broken off at any point, the blocks that are complete count.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from hakprof import metrics
from hakprof.compare import Looks, Verdicts, judge
from hakprof.model import Absent, Arm, Sample
from hakprof.plan import Plan
from hakprof.sequential import planned_looks
from hakprof.stats import LEAST_BLOCKS, FloatArray

AGAIN = " (again)"
"""Ends the name of the arm that is the base once more."""

FIRST_LOOK = 8
"""No look at fewer blocks: the levels are so high then that hardly anything passes."""


class Contest:
    """The arms of a plan against one of them, until every verdict is settled or time is up."""

    def __init__(
        self,
        plan: Plan,
        base: Arm,
        *,
        cpu_time: bool,
        settled: Callable[[Verdicts], bool] = lambda verdicts: verdicts.settled,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cpu_time`: compare the CPU time, not the wall time, of the region of interest."""
        again = dataclasses.replace(base, name=base.name + AGAIN)
        most = plan.max_blocks
        self.plan = dataclasses.replace(plan, arms=(*plan.arms, again), runs=most)
        self.base, self.again = base.name, again.name
        self.most = most
        self.block_s = 0.0
        self.problems: dict[str, str] = {}
        self._budget_s = plan.budget_s
        self._cost_name = "busy_ns" if cpu_time else "time_ns"
        self._settled = settled
        self._clock = clock
        self._started = clock()
        self._costs: dict[int, dict[str, float]] = {}
        self._looks: list[int] = []
        self.finished = False

    def take(self, sample: Sample) -> None:
        """Add one run; at the end of a block, see whether that is enough."""
        if sample.index < 0:
            self._started = self._clock()
        problem = sample.problem
        cost = None if problem else cost_of(sample, self._cost_name)
        if cost is None:
            self.problems[sample.arm] = problem or f"it gave no {self._cost_name}"
        elif sample.index >= 0:
            self._costs.setdefault(sample.index, {})[sample.arm] = cost
        if {self.base, self.again} & self.problems.keys() or len(self.contestants) == 1:
            self.finished = True
        elif sample.index >= 0 and self._complete(sample.index):
            self._end_block()

    @property
    def contestants(self) -> list[str]:
        """The arms that take part and have not failed, the base among them."""
        return [
            arm.name
            for arm in self.plan.arms
            if not arm.harness_only and arm.name not in {self.again, *self.problems}
        ]

    @property
    def blocks(self) -> list[int]:
        """Indices of the blocks in which every arm that takes part has run."""
        return sorted(filter(self._complete, self._costs))

    @property
    def needed_s(self) -> float:
        """How long the fewest blocks take that can decide anything."""
        return LEAST_BLOCKS * self.block_s

    def verdicts(self) -> Verdicts | None:
        """What can be said now; None if no block is complete or nothing is left to compare."""
        blocks = self.blocks
        if not blocks or self.base in self.problems or self.again in self.problems:
            return None
        looks = sorted({*self._looks, len(blocks)})
        costs = {arm: self._column(arm, blocks) for arm in self.contestants}
        again = self._column(self.again, blocks)
        return judge(self.base, again, costs, Looks(tuple(looks), max(self.most, len(blocks))))

    def _column(self, arm: str, blocks: list[int]) -> FloatArray:
        return np.array([self._costs[block][arm] for block in blocks])

    def _complete(self, block: int) -> bool:
        return {*self.contestants, self.again} <= self._costs.get(block, {}).keys()

    def _end_block(self) -> None:
        """How many blocks the budget allows is fixed by the time of the first, before any look."""
        done = len(self.blocks)
        spent_s = self._clock() - self._started
        self.block_s = spent_s / done
        if done == 1:
            self.most = max(1, min(self.most, int(self._budget_s / self.block_s)))
        if done in planned_looks(FIRST_LOOK, self.most):
            self._looks.append(done)
            verdicts = self.verdicts()
            self.finished = verdicts is not None and self._settled(verdicts)
        self.finished |= done >= self.most or spent_s + self.block_s > self._budget_s


def cost_of(sample: Sample, name: str) -> float | None:
    """Time of a run, per op where the program reports ops; None if it gave no positive one."""
    facts = metrics.facts_of(sample)
    value = facts[name].value if name in facts else 0.0
    if isinstance(value, Absent) or value <= 0:
        return None
    return value / sample.report.ops if sample.report and sample.report.ops else value
