"""The workflow of `hakprof health`: whether each profile does what it promises, here and now.

Each runs beside glibc in the same interleaved blocks, then once with counted events for the laws
that the counts must obey. A band is missed only where noise cannot explain it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hakprof import backends, comparison, native, stat
from hakprof.allocators import find_allocator
from hakprof.benchmarks import find_benchmark
from hakprof.comparison import ComparisonReport, Row
from hakprof.counters.identities import check_all, excuse, verdict
from hakprof.counters.read import read_dumps
from hakprof.errors import HakprofError
from hakprof.measurement import Tell
from hakprof.model import Target
from hakprof.process import Command, run
from hakprof.profiles import SwitchSet
from hakprof.report import stop_if_interrupted
from hakprof.schema import load
from hakprof.work import Size, benchmark_work

BLOCKS = 10
COUNTING = "hakmem:counters"
TIMEOUT_S = 600.0
WARNING = b"hakmem: "
"""Begins the lines on stderr in which hakmem complains of its configuration."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a profile promises, and what was seen."""

    name: str
    healthy: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Health:
    """All checks of one profile."""

    profile: str
    summary: str
    target: str
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Every promise is kept."""
        return all(check.healthy for check in self.checks)


def examine(profile: SwitchSet, tell: Tell, command: tuple[str, ...]) -> Health:
    """Run a profile's checks. Raises HakprofError only where nothing could be run at all."""
    promise = profile.health
    benchmark, preset = find_benchmark(promise.target)
    size = Size(threads=promise.threads)
    work = benchmark_work(benchmark, preset, size, promise.args, {}, parts=comparison.PARTS)
    request = stat.Request(
        command=command,
        work=work,
        allocators=(find_allocator("glibc"), profile.allocator),
        runs=BLOCKS,
        timeout_s=TIMEOUT_S,
        backend=backends.TIMING.name,
    )
    outcome = comparison.measure(request, lambda what, s: tell(f"{profile.name}: {what}", s))
    stop_if_interrupted(outcome.errors)
    tell(f"{profile.name}: laws of the counters", 0.0)
    checks = [*_measured(profile, outcome.report), *_counted(profile, work.target)]
    return Health(profile.name, profile.summary, work.target.name, tuple(checks))


def _measured(profile: SwitchSet, report: ComparisonReport) -> list[Check]:
    """It runs, it is hakmem that runs, and both bands."""
    arm = report.report.columns[1].arm.name
    if arm in report.excluded or not report.rows:
        return [Check("runs", healthy=False, seen=report.excluded.get(arm, "no verdict"))]
    row = report.rows[0]
    served = "it served the calls, by the audit of every run"
    return [Check("runs", healthy=True, seen=served), _speed(profile, row), _memory(profile, row)]


def _speed(profile: SwitchSet, row: Row) -> Check:
    least = profile.health.speed_least
    promised = f"at least {least:g}x glibc promised"
    if row.speed is None:
        return Check("speed", healthy=False, seen=f"not known, {promised}")
    low, high = row.speed.low, row.speed.high
    seen = f"{low:.2f} .. {high:.2f}x glibc, {promised}"
    return Check("speed", healthy=high >= least, seen=seen)


def _memory(profile: SwitchSet, row: Row) -> Check:
    most = profile.health.memory_most
    promised = f"at most {most:g}x glibc promised"
    if row.memory is None:
        return Check("memory", healthy=False, seen=f"not known, {promised}")
    seen = f"{row.memory:.2f}x glibc's peak RSS, {promised}"
    return Check("memory", healthy=row.memory <= most, seen=seen)


def _counted(profile: SwitchSet, target: Target) -> list[Check]:
    """The switches are understood, and the counted events obey their laws."""
    library = find_allocator(COUNTING).library
    with tempfile.TemporaryDirectory(prefix="hakprof-") as folder:
        outcome = run(
            Command(
                argv=target.argv,
                preload=(library,) if library else (),
                env={**target.env, **profile.env, "HAKMEM_COUNTERS": f"{folder}/"},
                pipes={"report": "HAKBENCH_FD"},
                timeout_s=TIMEOUT_S,
            )
        )
        try:
            schema = load(native.counter_schema("hakmem"))
            laws = [(c, d) for d in read_dumps(Path(folder)) for c in check_all(schema, d)]
        except HakprofError as error:
            return [Check("identities", healthy=False, seen=str(error))]
    broken = [verdict(law, dump) for law, dump in laws if law.breaches and not excuse(dump)]
    holding = sum(law.holds for law, _ in laws)
    seen = "; ".join(broken) or f"{holding} of {len(laws)} laws checked, and they hold"
    healthy = bool(holding) and not broken
    return [_switches(outcome.stderr), Check("identities", healthy=healthy, seen=seen)]


def _switches(stderr: bytes) -> Check:
    """What hakmem says on stderr of switches that it does not understand."""
    refused = [line for line in stderr.splitlines() if line.startswith(WARNING)]
    seen = b"; ".join(refused).decode(errors="replace") or "each is understood"
    return Check("switches", healthy=not refused, seen=seen)
