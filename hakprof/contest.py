"""A comparison while it runs: looks at the samples so far, says when enough is known.

    contest = Contest(plan, base, samples, backend=backend.name, cpu_time=True, settled=settled)
    run_blocks(contest.plan, VariedLayout(backend), contest.enough)    # fills `samples`
    contest.verdicts()

Broken off at any point, the blocks that are complete count.
"""

import dataclasses
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from hakprof import metrics
from hakprof.compare import Looks, Verdicts, judge
from hakprof.model import Absent, Arm, Sample
from hakprof.plan import Plan
from hakprof.sequential import planned_looks
from hakprof.stats import LEAST_BLOCKS, FloatArray

AGAIN = " (again)"
"""Ends the name of the arm that is the base once more."""

MOST_BLOCKS = 160
"""Many short runs find more than few long ones: bursts of noise spoil whole runs."""

FIRST_LOOK = 8
"""No look at fewer blocks: the levels are so high then that hardly anything passes."""


class Contest:
    """The arms of a plan against one of them, until every verdict is settled or time is up."""

    def __init__(
        self,
        plan: Plan,
        base: Arm,
        samples: Mapping[str, Sequence[Sample]],
        *,
        backend: str,
        cpu_time: bool,
        settled: "Callable[[Contest], bool]",
    ) -> None:
        """`samples`, by arm, grow while the contest runs; those of `backend` count.

        `cpu_time`: compare the CPU time, not the wall time. `settled`: asked at each look.
        """
        again = dataclasses.replace(base, name=base.name + AGAIN)
        self.base, self.again = base.name, again.name
        self.most = plan.runs or MOST_BLOCKS
        self.plan = dataclasses.replace(plan, arms=(*plan.arms, again), runs=self.most)
        self._limited = plan.runs is None
        self.block_s = 0.0
        self._samples = samples
        self._backend = backend
        self._cost_name = "busy_ns" if cpu_time else "time_ns"
        self._settled = settled
        self._looks: list[int] = []

    def enough(self, blocks: int, spent_s: float) -> bool:
        """Asked after each block. How many there may be is fixed by the first, before any look."""
        self.block_s = spent_s / blocks
        if blocks == 1 and self._limited:
            self.most = max(1, min(self.most, int(self.plan.budget_s / self.block_s)))
        contestants = self._contestants()
        if self.base not in contestants or self.again not in contestants or len(contestants) == 2:  # noqa: PLR2004 (the base alone, twice)
            return True
        if blocks in planned_looks(FIRST_LOOK, self.most):
            self._looks.append(blocks)
            if self._settled(self):
                return True
        return blocks >= self.most or (
            self._limited and spent_s + self.block_s > self.plan.budget_s
        )

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that are compared, the base first, once."""
        names = (arm.name for arm in self.plan.arms if not arm.harness_only)
        return tuple(name for name in names if name != self.again)

    @property
    def problems(self) -> dict[str, str]:
        """Arms that failed, and how."""
        found = {}
        for arm in self.plan.arms:
            for sample in self._timed(arm.name):
                if problem := sample.problem or self._no_time(sample):
                    found[arm.name.removesuffix(AGAIN)] = problem
        return found

    @property
    def needed_s(self) -> float:
        """How long the fewest blocks take that can decide anything."""
        return LEAST_BLOCKS * self.block_s

    def verdicts(self, without: Container[str] = ()) -> Verdicts | None:
        """What can be said now, some arms left out; None without base, rival or a whole block."""
        found = self.costs(without)
        if found is None:
            return None
        columns, looks = found
        again = columns.pop(self.again)
        return judge(self.base, again, columns, looks)

    def costs(self, without: Container[str] = ()) -> tuple[dict[str, FloatArray], Looks] | None:
        """Costs of each arm over the whole blocks, and at which of these was looked; or None."""
        costs = {name: c for name, c in self._contestants().items() if name not in without}
        if self.base not in costs or self.again not in costs:
            return None
        blocks = sorted(set[int].intersection(*(set(column) for column in costs.values())))
        if not blocks:
            return None
        columns = {name: np.array([column[b] for b in blocks]) for name, column in costs.items()}
        counts = tuple(sorted({*(n for n in self._looks if n <= len(blocks)), len(blocks)}))
        return columns, Looks(counts, max(self.most, len(blocks)))

    def _contestants(self) -> dict[str, dict[int, float]]:
        """Costs by block of each arm that takes part and has not failed."""
        names = [arm.name for arm in self.plan.arms if not arm.harness_only]
        costs = {name: self._costs(name) for name in names}
        return {name: column for name, column in costs.items() if column is not None}

    def _costs(self, arm: str) -> dict[int, float] | None:
        """Costs by block; None for an arm one of whose runs failed."""
        found = {}
        for sample in self._timed(arm):
            cost = cost_of(sample, self._cost_name)
            if cost is None:
                return None
            if sample.index >= 0:
                found[sample.index] = cost
        return found

    def _timed(self, arm: str) -> list[Sample]:
        return [s for s in self._samples.get(arm, ()) if s.backend == self._backend]

    def _no_time(self, sample: Sample) -> str:
        return "" if cost_of(sample, self._cost_name) else f"it gave no {self._cost_name}"


def cost_of(sample: Sample, name: str) -> float | None:
    """Time of a run, per op where it reports ops; None if it failed or gave no positive one."""
    facts = metrics.facts_of(sample)
    value = facts[name].value if name in facts and not sample.problem else 0.0
    if isinstance(value, Absent) or value <= 0:
        return None
    return value / sample.report.ops if sample.report and sample.report.ops else value
