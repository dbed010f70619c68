"""A comparison while it runs: looks at the samples so far, says when enough is known.

    contest = Contest(plan, base, samples, backend=backend.name, cpu_time=True, settled=settled,
                      runs_a_block=8)
    run_blocks(contest.plan, VariedLayout(backend), contest.enough)    # fills `samples`
    contest.verdicts()

The runs of a block are interleaved: each arm once, in random order, so many times over. What an
arm costs in a block is the median of its runs. Broken off at any point, complete blocks count.
"""

import dataclasses
import statistics
from collections import defaultdict
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
        runs_a_block: int = 1,
    ) -> None:
        """`samples`, by arm, grow while the contest runs; those of `backend` count.

        `plan.runs` are blocks. `cpu_time`: compare the CPU time, not the wall time.
        `settled`: asked at each look.
        """
        again = dataclasses.replace(base, name=base.name + AGAIN)
        self.base, self.again = base.name, again.name
        self.most = plan.runs or MOST_BLOCKS
        arms = (*plan.arms, again)
        self.plan = dataclasses.replace(plan, arms=arms, runs=self.most * runs_a_block)
        self.runs_a_block = runs_a_block
        self.limited = plan.runs is None
        self.block_s = 0.0
        self._samples = samples
        self._backend = backend
        self._cost_name = "busy_ns" if cpu_time else "time_ns"
        self._settled = settled
        self._looks: list[int] = []
        self._read: dict[str, list[tuple[int, float | None]]] = defaultdict(list)
        self._read_samples: dict[str, int] = defaultdict(int)

    def enough(self, runs: int, spent_s: float) -> bool:
        """Asked after each run of all arms.

        How many blocks there may be is fixed by the first, which is finished in any case.
        """
        run_s = spent_s / runs
        self.block_s = run_s * self.runs_a_block
        blocks, begun = divmod(runs, self.runs_a_block)
        if not begun and self._enough_blocks(blocks):
            return True
        return blocks > 0 and self.limited and spent_s + run_s > self.plan.budget_s

    def _enough_blocks(self, blocks: int) -> bool:
        if blocks == 1 and self.limited:
            self.most = max(1, min(self.most, int(self.plan.budget_s / self.block_s)))
        contestants = self._contestants()
        if self.base not in contestants or self.again not in contestants or len(contestants) == 2:  # noqa: PLR2004 (the base alone, twice)
            return True
        if blocks in planned_looks(FIRST_LOOK, self.most):
            self._looks.append(blocks)
            if self._settled(self):
                return True
        return blocks >= self.most

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
        """Costs by whole block; None for an arm one of whose runs failed."""
        costs = defaultdict[int, list[float]](list)
        for index, cost in self._runs(arm):
            if cost is None:
                return None
            if index >= 0:
                costs[index // self.runs_a_block].append(cost)
        return {
            block: statistics.median(runs)
            for block, runs in costs.items()
            if len(runs) == self.runs_a_block
        }

    def _runs(self, arm: str) -> list[tuple[int, float | None]]:
        """(index, cost) of the arm's runs so far; each sample is read once."""
        read, samples = self._read[arm], self._samples.get(arm, ())
        for sample in samples[self._read_samples[arm] :]:
            if sample.backend == self._backend:
                read.append((sample.index, cost_of(sample, self._cost_name)))
        self._read_samples[arm] = len(samples)
        return read

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
