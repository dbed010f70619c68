"""Clocks, resource usage and an estimated clock rate: works on every machine, slows nothing down.

Cycles are estimated as clock rate x CPU time of the region of interest, the rate measured by a
chain of dependent additions right before and right after it on the same core (`clock_hz` of the
benchmark protocol). TSC and /proc/cpuinfo give the nominal rate, which is off by up to 1.6.
"""

from collections.abc import Iterator

from hakprof.backends import launch
from hakprof.model import Availability, Job, Kind, OpReport, Reading, Sample
from hakprof.process import Outcome, run

SOURCE = "operating system"
CLOCK_SOURCE = "calibrated clock x CPU time"
ADDS_SOURCE = "additions in calibrated windows"

CLOCK_ERROR = 0.03
"""Relative half-width of estimated cycles, from kernels of known cycles a turn: runs of 10 ms and
more read 0.5 to 3 % high, the ticks and the hypervisor's share (tests/test_backends_timing.py)."""

STOLEN_NS = 300_000
"""The most that one interruption took in those runs. It counts as CPU time: short runs suffer."""

WHOLE_PROCESS = {
    "wall_ns": "ns",
    "cpu_ns": "ns",
    "user_ns": "ns",
    "system_ns": "ns",
    "max_rss_bytes": "bytes",
    "minor_faults": "faults",
    "major_faults": "faults",
    "voluntary_switches": "switches",
    "involuntary_switches": "switches",
}
"""field of Outcome -> unit; described in counters/process.toml"""


class Timing:
    """The backend that is always there."""

    name = "timing"
    kind = Kind.TIMED
    needs_roi = False
    first_ops = 10_000_000

    def probe(self) -> Availability:
        """Works wherever hakprof does."""
        return Availability(usable=True, label="clocks and resource usage")

    def measure(self, job: Job) -> Sample:
        """One undisturbed run: no tool in between, usage accounted by hakrun."""
        outcome = run(launch.command(job, account=True))
        sample = launch.sample(job, self.name, outcome, whole_process(outcome))
        if sample.report is None:
            return sample
        return launch.with_readings(sample, region(sample.report))


def whole_process(outcome: Outcome) -> list[Reading]:
    """What the system accounted from start to exit."""
    return [
        Reading(name, float(getattr(outcome, name)), unit, Kind.TIMED, SOURCE)
        for name, unit in WHOLE_PROCESS.items()
    ]


def region(report: OpReport) -> Iterator[Reading]:
    """Times of the region of interest and, where the benchmark calibrated, clock and cycles."""
    yield Reading("roi_ns", float(report.roi_ns), "ns", Kind.TIMED, SOURCE)
    yield Reading("roi_cpu_ns", float(report.roi_cpu_ns), "ns", Kind.TIMED, SOURCE)
    faults = report.extra.get("roi_minor_faults")
    if faults is not None and not isinstance(faults, str):
        yield Reading("roi_minor_faults", float(faults), "faults", Kind.TIMED, SOURCE)
    adds = [report.extra.get(f"adds_per_cycle.{when}") for when in ("before", "after")]
    if found := [number for number in adds if isinstance(number, int | float)]:
        yield Reading("adds_per_cycle", float(min(found)), "ratio", Kind.TIMED, ADDS_SOURCE)
    if report.clock_hz:
        clock, moved = estimate_clock(report.clock_hz)
        yield Reading("clock_hz", clock, "Hz", Kind.ESTIMATED, CLOCK_SOURCE, CLOCK_ERROR + moved)
        cycles = clock * report.roi_cpu_ns / 1e9
        error = CLOCK_ERROR + moved + STOLEN_NS / max(report.roi_cpu_ns, 1)
        yield Reading("cycles", cycles, "cycles", Kind.ESTIMATED, CLOCK_SOURCE, error)


def estimate_clock(windows_hz: tuple[float, ...]) -> tuple[float, float]:
    """(clock rate, relative half of what it moved) from the rates around the region of interest.

    The rate in between is unknown: what it moved is part of the error.
    """
    low, high = min(windows_hz), max(windows_hz)
    middle = (low + high) / 2
    return middle, (high - low) / 2 / middle
