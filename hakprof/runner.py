"""Runs a plan: samples come out one by one, as they are made.

A failed sample (`Sample.problem`) is handed on like the others and ends its arm, not the rest.
What consumes the samples decides what becomes of them; KeyboardInterrupt passes through, with
the child ended and nothing lost that was handed on before.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from hakprof.errors import HakprofError
from hakprof.model import Arm, CountingBackend, Exit, ExitKind, Job, Sample, Target
from hakprof.plan import Plan

NEVER_RAN = Exit(ExitKind.CODE, 127)
"""How a run ended that did not start, as shells say it."""


def run_one(backend: CountingBackend, job: Job) -> Sample:
    """One run; what the backend cannot do is the sample's problem, the other arms go on."""
    try:
        return backend.measure(job)
    except HakprofError as error:
        return Sample(job.arm, job.index, backend.name, NEVER_RAN, (), problem=str(error))


def run_blocks(
    plan: Plan,
    backend: CountingBackend,
    enough: Callable[[int, float], bool] | None = None,
) -> Iterator[Sample]:
    """Every arm once a block, interleaved, until there is enough.

    `enough(blocks, spent_s)` is asked after each block that counts; by default it is the plan's
    number of runs or budget.
    """
    enough = enough or plan.enough
    failed: set[str] = set()
    started = time.monotonic()
    for index, order in plan.blocks():
        if index == 0:
            started = time.monotonic()
        for arm in order:
            if arm.name in failed:
                continue
            sample = run_one(backend, plan.job(arm, index))
            if sample.problem:
                failed.add(arm.name)
            yield sample
        if len(failed) == len(plan.arms):
            return
        if index >= 0 and enough(index + 1, time.monotonic() - started):
            return


def run_lengths(
    plan: Plan,
    arm: Arm,
    backend: CountingBackend,
    targets: Iterable[Target],
    steady: Callable[[Sequence[Sample]], bool],
) -> Iterator[Sample]:
    """The arm at ever greater lengths, until the samples are steady, one fails, or all are run."""
    samples: list[Sample] = []
    for index, target in enumerate(targets):
        samples.append(run_one(backend, plan.job(arm, index, target)))
        yield samples[-1]
        if samples[-1].problem or steady(samples):
            return
