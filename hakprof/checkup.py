"""What `hakprof doctor` looks at: the machine as a place to measure on, and the backends.

Each check is one row with a verdict, what was seen, and what to do about it. Nothing here fails:
a machine that is bad for measuring is still one that can be measured on, with wider intervals.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hakprof import backends
from hakprof.backends import truth
from hakprof.environment import Machine, Virtualization, read_machine
from hakprof.errors import HakprofError
from hakprof.model import Availability, CountingBackend
from hakprof.units import Unit, show

SCHEMA = "hakprof.doctor/1"

BUSY_LOAD = 0.5
"""One-minute load from which other work shows in a run."""

LOW_MEMORY_BYTES = 1 << 30
MAX_PARANOID = 2
FULL_ASLR = 2

STEADY_CLOCK = 0.02
"""A clock that moves by less, relatively, during the check does not show in a median."""

CLOCK_TURNS = 20_000_000
CLOCK_RUNS = 4


class State(StrEnum):
    """The verdict of a check."""

    OK = "ok"
    WARN = "warn"  # measuring works; figures are worse or need a remark
    ABSENT = "absent"  # this machine does not have it or does not say


@dataclass(frozen=True, slots=True)
class Check:
    """One row."""

    name: str
    state: State
    seen: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All rows, and the backend that would be taken."""

    schema: str
    machine: tuple[Check, ...]
    backends: tuple[Check, ...]
    counts_with: str  # name of the backend that is taken when none is asked for


def examine() -> Checkup:
    """Look at this machine and try every backend: one to two seconds."""
    probes = tuple(backends.probe_all())
    usable = [backend.name for backend, here in probes if here.usable]
    return Checkup(
        schema=SCHEMA,
        machine=(*machine_checks(read_machine()), clock_check(measure_clock())),
        backends=tuple(backend_checks(probes)),
        counts_with=usable[0],
    )


def machine_checks(machine: Machine) -> tuple[Check, ...]:
    """What the kernel says of the machine, in the order of the list."""
    return (
        _processor(machine),
        _virtualization(machine),
        _container(machine),
        _governor(machine),
        _turbo(machine),
        _smt(machine),
        _aslr(machine),
        _paranoid(machine),
        _seccomp(machine),
        _load(machine),
        _memory(machine),
        _huge_pages(machine),
        _clock_source(machine),
        Check("system", State.OK, f"Linux {machine.kernel}, {machine.libc}"),
    )


def backend_checks(probes: Iterable[tuple[CountingBackend, Availability]]) -> Iterator[Check]:
    """A row for each backend: what it is, or why it does not work here."""
    for backend, here in probes:
        if here.usable:
            yield Check(backend.name, State.OK, f"{backend.kind}: {here.label}")
        else:
            yield Check(backend.name, State.ABSENT, here.why, here.advice)


def measure_clock() -> tuple[float, ...]:
    """The core's clock rate in Hz before and after some short runs; () if it cannot be had."""
    job = truth.job("add1", CLOCK_TURNS)
    clocks: list[float] = []
    try:
        for _ in range(CLOCK_RUNS):
            report = backends.TIMING.measure(job).report
            clocks += report.clock_hz if report else ()
    except HakprofError:
        return ()
    return tuple(clocks)


def clock_check(clocks_hz: tuple[float, ...]) -> Check:
    """Whether the clock holds still."""
    if not clocks_hz:
        return Check("clock rate", State.ABSENT, "could not be measured")
    low, high = min(clocks_hz), max(clocks_hz)
    moved = (high - low) / high
    seen = f"{show(low, Unit.HZ)} to {show(high, Unit.HZ)}, moved {show(moved, Unit.FRACTION)}"
    if moved < STEADY_CLOCK:
        return Check("clock rate", State.OK, seen)
    advice = "measure when the machine is idle; take more runs; compare in one interleaved run only"
    return Check("clock rate", State.WARN, seen, advice)


def _processor(machine: Machine) -> Check:
    seen = f"{machine.cpu_model}, {machine.cores} cores"
    sizes = [c for c in (machine.cache(1, "Data"), machine.cache(2, "Data")) if c]
    if sizes:
        seen += ", caches " + " and ".join(show(c.size_bytes, Unit.BYTES) for c in sizes)
    return Check("processor", State.OK, seen)


def _virtualization(machine: Machine) -> Check:
    kind = machine.virtualization
    if kind is Virtualization.NONE:
        return Check("virtualization", State.OK, "none seen")
    seen = f"{kind}, {machine.hypervisor}" if machine.hypervisor else str(kind)
    advice = "other guests disturb and pinning pins a virtual core: interleave, take more runs"
    return Check("virtualization", State.WARN, seen, advice)


def _container(machine: Machine) -> Check:
    if not machine.container:
        return Check("container", State.OK, "none seen")
    return Check("container", State.OK, f"{machine.container}: limits may apply that are not shown")


def _governor(machine: Machine) -> Check:
    name = "frequency governor"
    if machine.governor is None:
        return Check(
            name, State.ABSENT, "the machine does not say", "the host decides, if any does"
        )
    if machine.governor == "performance":
        return Check(name, State.OK, machine.governor)
    advice = "sudo cpupower frequency-set -g performance"
    return Check(name, State.WARN, f"{machine.governor}: the clock follows the load", advice)


def _turbo(machine: Machine) -> Check:
    if machine.turbo is None:
        return Check("turbo", State.ABSENT, "the machine does not say")
    if not machine.turbo:
        return Check("turbo", State.OK, "off")
    advice = (
        "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo; AMD: "
        "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
    )
    return Check("turbo", State.WARN, "on: the clock depends on heat and on neighbours", advice)


def _smt(machine: Machine) -> Check:
    name = "SMT"
    if machine.smt is None:
        return Check(name, State.ABSENT, "the machine does not say")
    if not machine.smt:
        return Check(name, State.OK, "off, or not shown to this machine")
    advice = "measure with --pin on one thread a core, and keep its sibling idle"
    return Check(name, State.WARN, "on: two threads share a core", advice)


def _aslr(machine: Machine) -> Check:
    if machine.aslr is None:
        return Check("ASLR", State.ABSENT, "the machine does not say")
    if machine.aslr == FULL_ASLR:
        return Check("ASLR", State.OK, "full: layouts vary, and no single one is measured")
    advice = "sudo sysctl kernel.randomize_va_space=2"
    return Check("ASLR", State.WARN, f"level {machine.aslr}: every run has the same layout", advice)


def _paranoid(machine: Machine) -> Check:
    name, level = "perf_event_paranoid", machine.perf_event_paranoid
    if level is None:
        return Check(name, State.ABSENT, "the kernel has no performance events")
    if level <= MAX_PARANOID:
        return Check(name, State.OK, f"{level}: programs may count themselves")
    advice = f"sudo sysctl kernel.perf_event_paranoid={MAX_PARANOID}"
    return Check(name, State.WARN, f"{level}: only root may count", advice)


def _seccomp(machine: Machine) -> Check:
    if machine.seccomp is None:
        return Check("seccomp", State.ABSENT, "the machine does not say")
    if not machine.seccomp:
        return Check("seccomp", State.OK, "no filter")
    advice = "if perf is refused: --security-opt seccomp=unconfined"
    return Check("seccomp", State.WARN, "a filter slows down and may forbid system calls", advice)


def _load(machine: Machine) -> Check:
    if machine.load_1min is None:
        return Check("load", State.ABSENT, "the machine does not say")
    seen = f"{machine.load_1min:g} over one minute on {machine.cores} cores"
    if machine.load_1min < BUSY_LOAD:
        return Check("load", State.OK, seen)
    return Check("load", State.WARN, seen, "end what else runs, or wait a minute: uptime, top")


def _memory(machine: Machine) -> Check:
    free = machine.memory_available_bytes
    if free is None:
        return Check("free memory", State.ABSENT, "the machine does not say")
    seen = show(free, Unit.BYTES)
    if free >= LOW_MEMORY_BYTES:
        return Check("free memory", State.OK, seen)
    return Check("free memory", State.WARN, seen, "below 1 GiB a run may swap: free some")


def _huge_pages(machine: Machine) -> Check:
    name, mode = "huge pages", machine.transparent_huge_pages
    page = show(machine.page_bytes, Unit.BYTES)
    if mode is None:
        return Check(name, State.ABSENT, f"the machine does not say; pages of {page}")
    if mode != "always":
        return Check(name, State.OK, f"{mode}; pages of {page}")
    advice = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"
    return Check(name, State.WARN, "always: resident memory and speed vary with luck", advice)


def _clock_source(machine: Machine) -> Check:
    if machine.clock_source is None:
        return Check("clock source", State.ABSENT, "the machine does not say")
    if not machine.slow_clock:
        return Check("clock source", State.OK, machine.clock_source)
    advice = "tell the kernel to trust the TSC: boot with tsc=reliable; time long runs only"
    return Check("clock source", State.WARN, f"{machine.clock_source}: slow to read", advice)
