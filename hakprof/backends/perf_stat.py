"""Hardware counters by `perf stat`, one process a sample, on the region of interest.

The benchmark switches the counters on and off through perf's control pipe. Before a counter is
believed it must pass the truth test: a loop of known length (counters/perf.toml, `truth`).
"""

from collections.abc import Callable, Mapping
from functools import cached_property

from hakprof import native
from hakprof.backends import launch, perf_event, perf_output, truth
from hakprof.backends.perf_tool import INSTALL, PerfTool, control, find_perf
from hakprof.environment import Machine, read_machine
from hakprof.errors import BackendError
from hakprof.model import Absence, Absent, Availability, Job, Kind, Reading, Sample
from hakprof.process import run
from hakprof.schema import Counter, Schema, load

LOG = "perf log"
TRUTH_TURNS = 2_000_000


class PerfStat:
    """Instructions, cycles, branches and cache misses as the processor counts them."""

    name = "perf"
    kind = Kind.COUNTED
    needs_roi = False
    first_ops = 2_000_000

    def __init__(
        self,
        find: Callable[[], PerfTool] = find_perf,
        attempt: Callable[[], perf_event.Attempt] = perf_event.attempt,
        machine: Callable[[], Machine] = read_machine,
    ) -> None:
        self._find, self._attempt, self._machine = find, attempt, machine

    @cached_property
    def _tool(self) -> PerfTool:
        return self._find()

    @cached_property
    def _schema(self) -> Schema:
        return load(native.counter_schema("perf"))

    def probe(self) -> Availability:
        """The kernel's word, a perf that runs, and the truth test, in this order."""
        why, advice = perf_event.why_not(self._attempt(), self._machine())
        if why:
            return Availability(usable=False, label="perf stat", why=why, advice=advice)
        try:
            tool = self._tool
        except BackendError as error:
            return Availability(
                usable=False, label="perf stat", why=error.message, advice=error.advice
            )
        label = f"{tool.label}, hardware counters"
        if not tool.has_control:
            why = f"{tool.label} cannot be switched on for a region alone; 5.10 can"
            return Availability(usable=False, label=label, why=why, advice=INSTALL)
        if why := self._distrusted.get("instructions", ""):
            advice = "count by qemu, callgrind or stepping; a hypervisor may emulate counters badly"
            return Availability(usable=False, label=label, why=why, advice=advice)
        return Availability(usable=True, label=label)

    def measure(self, job: Job) -> Sample:
        """One process under perf; on a benchmark only its region of interest counts."""
        return self._measure(job, self._distrusted)

    @cached_property
    def _distrusted(self) -> Mapping[str, str]:
        """Counter -> what it read wrong in the loop of known length; of hardware counters only."""
        job = truth.job("loop7", TRUTH_TURNS)
        sample = self._measure(job, {})
        if sample.problem or sample.report is None:
            rows = self._schema.counters.values()
            return {row.name: f"truth test: {sample.problem}" for row in rows if _bounds(row)}
        wrong = {}
        for reading in sample.readings:
            bounds = _bounds(self._schema.counters[reading.name])
            if not bounds or isinstance(reading.value, Absent):
                continue
            turn = reading.value / sample.report.ops
            if not bounds[0] <= turn <= bounds[1]:
                wrong[reading.name] = (
                    f"failed the truth test: {turn:.3g} a turn of a loop "
                    f"that has {bounds[0]:g} to {bounds[1]:g}"
                )
        return wrong

    def _measure(self, job: Job, distrusted: Mapping[str, str]) -> Sample:
        tool = self._tool
        output = "-j" if tool.writes_json else "-x;"
        events = ",".join(str(row.extra["event"]) for row in self._schema.counters.values())
        with control(active=job.target.is_benchmark) as (options, env, descriptors):
            if options and not tool.has_control:
                raise BackendError(f"{tool.label} has no --control", advice=INSTALL)
            outcome = run(
                launch.command(
                    job,
                    wrapper=(
                        *(str(tool.path), "stat", output, "--log-fd", f"{{fd:{LOG}}}"),
                        *("-e", events, *options, "--"),
                    ),
                    env={"LC_ALL": "C", **env},
                    more_pipes={LOG: ""},
                    pass_fds=descriptors,
                )
            )
        text = outcome.pipes[LOG].decode(errors="replace")
        parse = perf_output.parse_json if tool.writes_json else perf_output.parse_csv
        readings = readings_of(self._schema, parse(text), tool.label, distrusted)
        return launch.sample(job, self.name, outcome, readings)


def readings_of(
    schema: Schema, rows: list[perf_output.Row], source: str, distrusted: Mapping[str, str]
) -> list[Reading]:
    """A reading for each counter of the schema, whatever perf printed."""
    return [_reading(counter, rows, source, distrusted) for counter in schema.counters.values()]


def _reading(
    counter: Counter, rows: list[perf_output.Row], source: str, distrusted: Mapping[str, str]
) -> Reading:
    event = perf_output.plain_event(str(counter.extra["event"]))
    kind = Kind.COUNTED if counter.extra["hardware"] else Kind.TIMED
    row = perf_output.combine([row for row in rows if row.event == event])
    if row is None:
        absent = Absent(Absence.MISSING, "perf printed no row for it")
        return Reading(counter.name, absent, counter.unit, kind, source)
    if isinstance(row.value, Absent):
        return Reading(counter.name, row.value, counter.unit, kind, source)
    if counter.name in distrusted:
        absent = Absent(Absence.NOT_SUPPORTED, distrusted[counter.name])
        return Reading(counter.name, absent, counter.unit, kind, source)
    # What ran while the event was not counted may have had none of it, or twice as much.
    unseen = max(0.0, 1 - row.running)
    if unseen:
        source += f", scaled from {row.running:.0%} of the time"
    return Reading(counter.name, row.value, counter.unit, kind, source, error=unseen)


def _bounds(counter: Counter) -> tuple[float, float] | None:
    bounds = counter.extra.get("truth")
    return (float(bounds[0]), float(bounds[1])) if bounds else None
