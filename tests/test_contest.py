import dataclasses
import math

import numpy as np
import pytest

from hakprof.compare import Judgement
from hakprof.comparison import by_verdicts
from hakprof.contest import Contest
from hakprof.model import Allocator, Arm, Exit, ExitKind, Kind, OpReport, Reading, Sample, Target
from hakprof.plan import Plan

TARGET = Target("bench", ("bench",), is_benchmark=True)


def arm(name: str) -> Arm:
    return Arm(name, TARGET, Allocator(name, None))


def run(name: str, index: int, cost_ns: float, problem: str = "") -> Sample:
    readings = (Reading("roi_cpu_ns", cost_ns * 1000, "ns", Kind.TIMED, "test"),)
    report = OpReport("bench", 1, 1000, 500, 500, 8000, 1, 1)
    ended = Exit(ExitKind.CODE, 1 if problem else 0)
    return Sample(name, index, "timing", ended, () if problem else readings, report, None, problem)


class Machine:
    """Runs of known cost, on a clock that each of them moves on by a second."""

    def __init__(self, **costs_ns: float) -> None:
        self.costs_ns = costs_ns
        self.fails: dict[str, int] = {}
        self.samples: dict[str, list[Sample]] = {}
        self.noise = np.random.default_rng(2)

    def contest(
        self, budget_s: float = 1e6, runs: int | None = None, runs_a_block: int = 1
    ) -> Contest:
        plan = Plan(tuple(arm(name) for name in self.costs_ns), runs=runs, budget_s=budget_s)
        return Contest(
            plan,
            plan.arms[0],
            self.samples,
            backend="timing",
            cpu_time=True,
            settled=by_verdicts(lambda verdicts: verdicts.settled),
            runs_a_block=runs_a_block,
        )

    def block(self, index: int, arms: tuple[Arm, ...]) -> None:
        for name in (arm.name for arm in arms):
            cost = self.costs_ns[name.removesuffix(" (again)")]
            cost *= math.exp(self.noise.normal(0, 0.005))
            late = index >= self.fails.get(name, 1000)
            sample = run(name, index, cost, "killed by SIGSEGV" if late else "")
            self.samples.setdefault(name, []).append(sample)

    def hold(self, contest: Contest) -> tuple[Contest, int]:
        """The contest, and after how many blocks it had enough."""
        spent_s = 0.0
        for index, order in contest.plan.blocks():
            self.block(index, order)
            if index >= 0:
                spent_s += len(order)
                if contest.enough(index + 1, spent_s):
                    return contest, index + 1
        return contest, contest.plan.max_blocks


def test_a_clear_difference_ends_at_the_first_look() -> None:
    machine = Machine(slow=10, fast=5)
    contest, blocks = machine.hold(machine.contest())
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert blocks == 10
    assert verdicts.arms[0].judgement is Judgement.FASTER
    assert verdicts.winner == "fast"


def test_the_budget_fixes_how_many_blocks_there_are_at_most() -> None:
    machine = Machine(one=10, two=10.05)
    contest, blocks = machine.hold(machine.contest(budget_s=61))
    assert contest.most == 20
    assert blocks <= 20


def test_a_budget_for_no_verdict_says_how_much_it_needs() -> None:
    machine = Machine(one=10, two=20)
    contest, blocks = machine.hold(machine.contest(budget_s=10))
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert blocks == 3
    assert verdicts.arms[0].judgement is Judgement.UNDECIDED
    assert contest.needed_s == pytest.approx(18)


def test_an_arm_that_crashes_leaves_the_others_whole() -> None:
    machine = Machine(base=10, bad=10, good=5)
    machine.fails = {"bad": 3}
    contest, blocks = machine.hold(machine.contest())
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert [c.arm for c in verdicts.arms] == ["good"]
    assert verdicts.arms[0].blocks == blocks == 10
    assert contest.problems == {"bad": "killed by SIGSEGV"}


@pytest.mark.parametrize("name", ["base", "base (again)"])
def test_without_its_base_there_is_no_verdict(name: str) -> None:
    machine = Machine(base=10, other=10)
    machine.fails = {name: 2}
    contest, blocks = machine.hold(machine.contest())
    assert blocks == 3
    assert contest.verdicts() is None
    assert contest.problems == {"base": "killed by SIGSEGV"}


def test_an_arm_may_be_left_out() -> None:
    machine = Machine(base=10, fake=5, other=10)
    contest, _ = machine.hold(machine.contest())
    verdicts = contest.verdicts(without={"fake"})
    assert verdicts is not None
    assert [c.arm for c in verdicts.arms] == ["other"]
    assert contest.verdicts(without={"base"}) is None


def test_what_was_complete_counts_after_an_interruption() -> None:
    machine = Machine(base=10, other=5)
    contest = machine.contest()
    for index in range(9):
        machine.block(index, contest.plan.arms)
    machine.block(9, contest.plan.arms[:2])
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert verdicts.arms[0].blocks == 9
    assert verdicts.arms[0].judgement is Judgement.FASTER


def test_runs_under_another_backend_do_not_count() -> None:
    machine = Machine(base=10, other=5)
    contest, blocks = machine.hold(machine.contest())
    counted = dataclasses.replace(run("other", 0, 500), backend="callgrind")
    machine.samples["other"].append(counted)
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert verdicts.arms[0].blocks == blocks
    assert verdicts.arms[0].judgement is Judgement.FASTER


def test_a_run_without_time_is_a_problem() -> None:
    machine = Machine(base=10, other=0)
    contest, _ = machine.hold(machine.contest())
    assert contest.problems == {"other": "it gave no busy_ns"}


def test_so_many_runs_as_asked_for_at_most() -> None:
    machine = Machine(one=10, two=10.02)
    assert machine.hold(machine.contest(runs=12))[1] <= 12


def test_a_block_of_several_runs_costs_their_median() -> None:
    machine = Machine(base=10, other=10)
    contest = machine.contest(runs_a_block=4)
    for index in range(40):
        machine.costs_ns["other"] = 30 if index % 4 == 3 else 10
        machine.block(index, contest.plan.arms)
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert verdicts.arms[0].blocks == 10
    assert verdicts.arms[0].speed.value == pytest.approx(1, abs=0.005)


def test_blocks_of_several_runs_end_when_all_of_a_look_are_done() -> None:
    machine = Machine(slow=10, fast=5)
    contest, runs = machine.hold(machine.contest(runs_a_block=4))
    assert runs == 4 * 10
    assert contest.verdicts() is not None


def test_the_first_block_is_finished_whatever_the_budget() -> None:
    machine = Machine(one=10, two=20)
    contest, runs = machine.hold(machine.contest(budget_s=10, runs_a_block=8))
    assert runs == 8
    verdicts = contest.verdicts()
    assert verdicts is not None
    assert verdicts.arms[0].judgement is Judgement.UNDECIDED
    assert contest.needed_s == pytest.approx(8 * 18)
