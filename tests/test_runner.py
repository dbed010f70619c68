from collections.abc import Callable, Sequence

import pytest

from hakprof.errors import TargetError
from hakprof.model import Allocator, Arm, Availability, Exit, ExitKind, Job, Kind, Sample, Target
from hakprof.plan import Plan
from hakprof.runner import run_blocks, run_lengths

ENDED = Exit(ExitKind.CODE, 0)
TARGET = Target("t", ("/t",), is_benchmark=True)
ARMS = tuple(Arm(name, TARGET, Allocator("glibc", None)) for name in "abc")


class Scripted:
    """A backend that does what a function says."""

    name = "scripted"
    kind = Kind.TIMED
    needs_roi = False
    first_ops = 1

    def __init__(self, answer: Callable[[Job], str]) -> None:
        self.answer = answer
        self.jobs: list[Job] = []

    def probe(self) -> Availability:
        return Availability(usable=True, label="scripted")

    def measure(self, job: Job) -> Sample:
        self.jobs.append(job)
        return Sample(job.arm, job.index, self.name, ENDED, (), problem=self.answer(job))


def test_blocks_come_warm_up_first_and_interleaved() -> None:
    backend = Scripted(lambda _: "")
    samples = list(run_blocks(Plan(ARMS, runs=4, warmup=2), backend))
    assert [s.index for s in samples] == [i for i in (-1, -2, 0, 1, 2, 3) for _ in ARMS]
    for i in range(0, len(samples), 3):
        assert {s.arm for s in samples[i : i + 3]} == {"a", "b", "c"}


def test_a_failing_arm_is_ended_and_the_others_go_on() -> None:
    backend = Scripted(lambda job: "crashed" if job.arm == "b" and job.index == 1 else "")
    samples = list(run_blocks(Plan(ARMS, runs=4, warmup=0), backend))
    assert [s.index for s in samples if s.arm == "b"] == [0, 1]
    assert [s.index for s in samples if s.arm == "a"] == [0, 1, 2, 3]


def test_nothing_is_run_once_all_have_failed() -> None:
    backend = Scripted(lambda _: "crashed")
    assert len(list(run_blocks(Plan(ARMS, runs=9, warmup=1), backend))) == 3


def test_what_a_backend_raises_is_the_problem_of_one_sample() -> None:
    def refuse(job: Job) -> str:
        if job.arm == "a":
            raise TargetError("cannot start 'a'", advice="check it")
        return ""

    samples = list(run_blocks(Plan(ARMS, runs=1, warmup=0), Scripted(refuse)))
    assert {s.arm: s.problem for s in samples}["a"] == "cannot start 'a'; check it"
    assert len(samples) == 3


def test_ctrl_c_passes_through_and_loses_nothing_before_it() -> None:
    def interrupt(job: Job) -> str:
        if job.index == 2:
            raise KeyboardInterrupt
        return ""

    taken: list[Sample] = []
    with pytest.raises(KeyboardInterrupt):
        taken.extend(run_blocks(Plan(ARMS, runs=9, warmup=0), Scripted(interrupt)))
    assert len(taken) == 6


def test_another_stop_rule_is_asked_after_each_block() -> None:
    asked: list[int] = []

    def enough(blocks: int, _spent_s: float) -> bool:
        asked.append(blocks)
        return blocks == 2

    samples = list(run_blocks(Plan(ARMS, runs=9, warmup=1), Scripted(lambda _: ""), enough))
    assert asked == [1, 2]
    assert max(s.index for s in samples) == 1


def test_lengths_grow_until_steady() -> None:
    targets = [Target("t", ("/t", str(n)), is_benchmark=True) for n in (1, 2, 4, 8)]

    def steady(samples: Sequence[Sample]) -> bool:
        return len(samples) == 3

    backend = Scripted(lambda _: "")
    samples = list(run_lengths(Plan(ARMS), ARMS[0], backend, targets, steady))
    assert [job.target.argv[1] for job in backend.jobs] == ["1", "2", "4"]
    assert [s.index for s in samples] == [0, 1, 2]


def test_lengths_end_where_one_fails() -> None:
    backend = Scripted(lambda job: "no" if job.index == 1 else "")
    found = run_lengths(Plan(ARMS), ARMS[0], backend, [TARGET] * 5, lambda _: False)
    assert [s.problem for s in found] == ["", "no"]
