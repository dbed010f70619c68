"""The truth test: a counter is believed after it has counted a loop whose length is known."""

from hakprof import native
from hakprof.errors import HakprofError
from hakprof.model import (
    Absent,
    Allocator,
    Availability,
    CountingBackend,
    Job,
    Sample,
    Target,
)
from hakprof.process import PATIENCE_S

TOLERANCE = 0.005
"""Relative error up to which a count is right."""

EDGE_INSTRUCTIONS = 200
"""What entering and leaving the region of interest may add: a few calls of the clock."""


def job(kernel: str, turns: int) -> Job:
    """`haktruth KERNEL TURNS`: one op a turn, no allocations (contract 5)."""
    target = Target(
        name=f"haktruth {kernel}",
        argv=(str(native.program("haktruth")), kernel, str(turns)),
        is_benchmark=True,
    )
    allocator = Allocator(name="none", library=None)
    return Job("truth test", 0, target, allocator, timeout_s=PATIENCE_S)


def availability(backend: CountingBackend, turns: int, label: str, advice: str) -> Availability:
    """Whether the backend counts a loop of `turns` turns right; if not, `advice` is given."""
    try:
        why = _problem(backend.measure(job("loop7", turns)))
    except HakprofError as error:
        return Availability(usable=False, label=label, why=error.message, advice=error.advice)
    return Availability(usable=not why, label=label, why=why, advice=advice if why else "")


def _problem(sample: Sample) -> str:
    """What is wrong with the count of a loop whose length the sample's report knows."""
    if sample.problem or sample.report is None:
        return f"truth test: {sample.problem or 'no report'}"
    expected = sample.report.extra.get("truth.instructions_per_op")
    read = next((r.value for r in sample.readings if r.name == "instructions"), None)
    if isinstance(read, Absent) or read is None or not isinstance(expected, int | float):
        return f"truth test: no count ({read.why if isinstance(read, Absent) else 'no reading'})"
    exact = expected * sample.report.ops
    if not exact * (1 - TOLERANCE) <= read <= exact * (1 + TOLERANCE) + EDGE_INSTRUCTIONS:
        turn = read / sample.report.ops
        return f"failed the truth test: {turn:.3f} instructions a turn of a loop of {expected:g}"
    return ""
