"""Runs a plan: samples come out one by one, as they are made.

A failed sample (`Sample.problem`) is handed on like the others and ends its arm, not the rest.
What consumes the samples decides what becomes of them; KeyboardInterrupt passes through, with
the child ended and nothing lost that was handed on before.
"""

import time
from collections.abc import Iterable, Iterator

from hakprof.model import Absence, Absent, Arm, CountingBackend, Sample, Target
from hakprof.plan import Plan

STEADY = 1e-3
"""Two counts per op that differ by less than this, the second from twice the ops, are steady."""


def run_blocks(plan: Plan, backend: CountingBackend) -> Iterator[Sample]:
    """Every arm once a block, interleaved, until the plan has enough."""
    failed: set[str] = set()
    started = time.monotonic()
    for index, order in plan.blocks():
        if index == 0:
            started = time.monotonic()
        for arm in order:
            if arm.name in failed:
                continue
            sample = backend.measure(plan.job(arm, index))
            if sample.problem:
                failed.add(arm.name)
            yield sample
        if len(failed) == len(plan.arms):
            return
        if index >= 0 and plan.enough(index + 1, time.monotonic() - started):
            return


def count_until_steady(
    plan: Plan,
    arm: Arm,
    backend: CountingBackend,
    targets: Iterable[Target],
    reading: str = "instructions",
) -> Iterator[Sample]:
    """The arm with ever more ops, until `reading` per op no longer moves or `targets` end.

    The last sample is the figure, its relative distance to the one before is what is left of the
    start-up: `residual`.
    """
    before: Sample | None = None
    for index, target in enumerate(targets):
        sample = backend.measure(plan.job(arm, index, target))
        yield sample
        if sample.problem or per_op(sample, reading) is None:
            return
        if before is not None and residual(before, sample, reading) < STEADY:
            return
        before = sample


def per_op(sample: Sample, reading: str) -> float | None:
    """A reading divided by the ops that the same run reports; None if either is missing."""
    value = next((r.value for r in sample.readings if r.name == reading), Absent(Absence.MISSING))
    if isinstance(value, Absent) or sample.report is None or not sample.report.ops:
        return None
    return value / sample.report.ops


def residual(before: Sample, after: Sample, reading: str) -> float:
    """Relative difference of a reading per op between two runs; infinite if one has none."""
    first, second = per_op(before, reading), per_op(after, reading)
    if first is None or not second:
        return float("inf")
    return abs(first / second - 1.0)
