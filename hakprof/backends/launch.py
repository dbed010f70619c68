"""From a job to a command, and from its outcome to a sample: what all backends share.

The program's own report line (contract 1 of docs/architecture.md) is believed only where it does
not contradict itself or what was seen from outside.
"""

import dataclasses
import json
import math
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hakprof import native
from hakprof.errors import TargetError
from hakprof.model import Exit, ExitKind, Job, OpReport, Reading, Sample
from hakprof.process import AUDIT_FD_ENV, REPORT_FD_ENV, Command, Outcome

REPORT = "report"
AUDIT = "audit"
"""names of the pipes that every measured program gets"""

PROTOCOL_VERSION = 1
MAX_LINE_BYTES = 64 << 10
MAX_CLOCK_HZ = 2e10
CLOCK_SLACK_NS = 20_000_000
"""two clocks, one of which may count in ticks of 10 ms, may differ by this much"""

_COUNTS = ("threads", "ops", "allocs", "frees", "bytes_requested", "roi_ns", "roi_cpu_ns")
_OWN_KEYS = {*_COUNTS, "hakbench", "benchmark", "harness_only", "clock_hz"}


def preload(job: Job, tools: Sequence[Path] = ()) -> tuple[Path, ...]:
    """What LD_PRELOAD holds: the allocator first, the tools, then the audit of who serves."""
    allocator = (job.allocator.library,) if job.allocator.library else ()
    audit = (native.library("hakaudit"),) if job.audit else ()
    return (*allocator, *tools, *audit)


def environment(job: Job, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The program's additions to the environment; what the backend needs wins."""
    return {**job.allocator.env, **job.target.env, **(more or {})}


def pipes(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The pipes of every measured program and those of a backend: name -> variable."""
    return {REPORT: REPORT_FD_ENV, AUDIT: AUDIT_FD_ENV, **(more or {})}


def command(
    job: Job,
    *,
    wrapper: Sequence[str] = (),
    tools: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    more_pipes: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    account: bool = False,
) -> Command:
    """The job as a command. `tools` are preloaded after the allocator, `wrapper` goes in front."""
    return Command(
        argv=job.target.argv,
        wrapper=wrapper,
        preload=preload(job, tools),
        env=environment(job, env),
        pipes=pipes(more_pipes),
        pass_fds=pass_fds,
        account=account,
        cpus=job.cpus,
        timeout_s=job.timeout_s,
    )


def sample(job: Job, backend: str, outcome: Outcome, readings: Sequence[Reading]) -> Sample:
    """Readings with the program's report, or with the problem that makes them useless."""
    problem = exit_problem(outcome, job.timeout_s)
    report = None
    if not problem and job.target.is_benchmark:
        try:
            report = parse_report(outcome.pipes[REPORT], outcome.wall_ns)
        except TargetError as error:
            problem = str(error)
    return Sample(
        arm=job.arm,
        index=job.index,
        backend=backend,
        exit=outcome.exit,
        readings=() if problem else tuple(readings),
        report=report,
        problem=f"{job.target.name}: {problem}" if problem else "",
        audit=outcome.pipes[AUDIT].decode(errors="surrogateescape") if job.audit else None,
    )


def unavailable(job: Job, backend: str, outcome: Outcome, reading: Reading) -> Sample:
    """The tool failed on a program that is none the worse for it: an Absent, and no problem."""
    return Sample(
        arm=job.arm, index=job.index, backend=backend, exit=outcome.exit, readings=(reading,)
    )


def with_readings(sample: Sample, more: Iterable[Reading]) -> Sample:
    """The sample with further readings."""
    return dataclasses.replace(sample, readings=(*sample.readings, *more))


def children_left_out(count: int) -> str:
    """What a source says whose figure is that of the started process alone."""
    return f", {count} child process{'es' if count > 1 else ''} not counted"


def exit_problem(outcome: Outcome, timeout_s: float | None) -> str:
    """How a program failed, with its last word; "" if it ended by itself with code 0."""
    if outcome.exit.ok:
        return ""
    last = last_line(outcome.stderr)
    return describe_exit(outcome.exit, timeout_s) + (f": {last}" if last else "")


def describe_exit(exit_: Exit, timeout_s: float | None) -> str:
    """`exit code 3`, `killed by SIGSEGV`, `stopped after 600 s`."""
    if exit_.kind is ExitKind.TIMEOUT:
        return f"stopped after {timeout_s:g} s"
    if exit_.kind is ExitKind.CODE:
        return f"exit code {exit_.number}"
    try:
        return f"killed by {signal.Signals(exit_.number).name}"
    except ValueError:
        return f"killed by signal {exit_.number}"


def first_line(output: bytes) -> str:
    """The first line of a program's output that is not blank, fit to be printed."""
    return next(iter(_lines(output)), "it said nothing")


def last_line(output: bytes) -> str:
    """The last such line, "" if there is none."""
    return next(reversed(_lines(output)), "")


def _lines(output: bytes, limit: int = 200) -> list[str]:
    lines = (line.strip() for line in output.decode(errors="replace").splitlines())
    return ["".join(c if c.isprintable() else "?" for c in s)[:limit] for s in lines if s]


def parse_report(data: bytes, wall_ns: int) -> OpReport:
    """The report line of a benchmark that ran `wall_ns`. Raises TargetError with what is wrong."""
    if not data.strip():
        raise TargetError("it wrote no report line", advice=f"it must write to ${REPORT_FD_ENV}")
    if len(data) > MAX_LINE_BYTES:
        raise TargetError(f"its report is longer than {MAX_LINE_BYTES} bytes")
    if b"\n" in data.removesuffix(b"\n"):
        raise TargetError("it wrote more than one report line")
    table = parse_object(data, "its report line")
    if table.get("hakbench") != PROTOCOL_VERSION:
        raise TargetError(
            f"its report has protocol version {table.get('hakbench')!r}, not {PROTOCOL_VERSION}"
        )
    counts = {name: _count(table, name) for name in _COUNTS}
    report = OpReport(
        benchmark=str(table.get("benchmark", "")),
        harness_only=table.get("harness_only") is True,
        clock_hz=_clock(table.get("clock_hz", [])),
        extra=_extra(table),
        **counts,
    )
    _refuse_lies(report, wall_ns)
    return report


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object, or TargetError that shows what came instead."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise TargetError(f"{what} is no JSON object: {last_line(data)!r:.60}")
    return table


def _count(table: Mapping[str, Any], name: str) -> int:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TargetError(f"its report has no whole number as {name!r}: {value!r:.40}")
    if not 0 <= value < 1 << 63:
        raise TargetError(f"its report claims {name} = {value!r:.40}")
    return value


def _clock(values: object) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise TargetError("its report has a clock_hz that is no list")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < MAX_CLOCK_HZ:
            raise TargetError(f"its report claims a clock of {value!r:.40} Hz")
    return tuple(float(value) for value in values)


def _extra(table: Mapping[str, Any]) -> dict[str, float | str]:
    """Numbers and words of the other keys; those of an object as `key.inner`."""
    extra: dict[str, float | str] = {}
    for key, value in table.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for inner, word in rows:
            if key not in _OWN_KEYS and _is_scalar(word):
                extra[f"{key}.{inner}" if inner else key] = word
    return extra


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int | str) and not isinstance(value, bool)


def _refuse_lies(report: OpReport, wall_ns: int) -> None:
    reallocs = report.extra.get("reallocs", 0)
    calls = report.allocs + report.frees + (reallocs if isinstance(reallocs, int) else 0)
    does_calls = calls or "truth.instructions_per_op" not in report.extra
    if not report.ops or not report.threads:
        raise TargetError("its report claims no ops" if report.threads else "it had no threads")
    if does_calls and report.ops != calls:
        raise TargetError(f"its report claims {report.ops} ops but {calls} calls")
    if not report.roi_ns:
        raise TargetError("its report claims a region of interest of 0 ns")
    if report.roi_ns > wall_ns:
        raise TargetError(
            f"its report claims a region of interest of {report.roi_ns} ns, "
            f"longer than the whole process ({wall_ns} ns)"
        )
    if report.roi_cpu_ns > report.roi_ns * report.threads + CLOCK_SLACK_NS:
        raise TargetError(
            f"its report claims {report.roi_cpu_ns} ns of CPU time in {report.roi_ns} ns "
            f"on {report.threads} threads"
        )
