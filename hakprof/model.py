"""The data that crosses stages. Frozen records only; no work is done here.

    options -> plan -> runner x backend -> readings -> metrics -> findings -> render

Units: `*_ns` nanoseconds, `*_bytes` bytes, `*_hz` per second. A figure that could not be had is
an `Absent` with its reason, never a zero and never a missing key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Kind(StrEnum):
    """How a figure was got. Figures of two kinds are never compared with each other."""

    COUNTED = "counted"  # hardware counters that passed the truth test
    EXACT = "exact"  # every instruction seen: emulator, instrumentation or single steps
    SIMULATED = "simulated"  # a cache or branch model
    ESTIMATED = "estimated"  # calibrated clock x CPU time, and what is divided by it
    SAMPLED = "sampled"  # shares from samples
    TIMED = "timed"  # clocks and resource usage of the operating system
    REPORTED = "reported"  # the program's own word (its op counts)


class Absence(StrEnum):
    """Why there is no figure: four different things, none of them zero."""

    MISSING = "missing"  # nobody asked for it, or the tool's version does not give it
    NOT_SUPPORTED = "not supported"  # this machine cannot
    NOT_COUNTED = "not counted"  # it could, but did not in this run
    UNAVAILABLE = "unavailable"  # the tool failed on this program, e.g. AVX-512 under an emulator


@dataclass(frozen=True, slots=True)
class Absent:
    """No figure, and why, in words the user sees."""

    reason: Absence
    why: str = ""


Value = float | Absent


@dataclass(frozen=True, slots=True)
class Reading:
    """One raw number from one tool in one run."""

    name: str  # as in counters/*.toml: instructions, cycles, roi_ns, cpu_ns, max_rss_bytes, ...
    value: Value
    unit: str
    kind: Kind
    source: str  # the tool and its version: "qemu-user 7.2, emulated CPU"
    error: float = 0.0  # relative half-width the source itself states (0.02 = +-2 %)


@dataclass(frozen=True, slots=True)
class OpReport:
    """What a program says of its own run (the benchmark protocol, docs/architecture.md)."""

    benchmark: str
    threads: int
    ops: int
    allocs: int
    frees: int
    bytes_requested: int
    roi_ns: int
    roi_cpu_ns: int
    harness_only: bool = False
    clock_hz: tuple[float, ...] = ()  # calibrated next to the ROI, before and after
    extra: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocator:
    """An allocator that can be put under a program; `library` None means the program's own libc."""

    name: str
    library: Path | None
    version: str = ""
    build_id: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    title: str = ""  # what tables call it where its name and settings would not do


@dataclass(frozen=True, slots=True)
class Target:
    """What is run: one of the benchmarks, or any program."""

    name: str
    argv: tuple[str, ...]
    is_benchmark: bool
    harness_argv: tuple[str, ...] = ()  # the same work on the null allocator, () if there is none
    threads: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a measurement: a target on an allocator. What is compared is compared by arm."""

    name: str
    target: Target
    allocator: Allocator
    harness_only: bool = False  # the target is the benchmark on the null allocator


class ExitKind(StrEnum):
    """How a process ended."""

    CODE = "code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: its exit code, or the signal that killed it."""

    kind: ExitKind
    number: int

    @property
    def ok(self) -> bool:
        """Exited by itself with code 0."""
        return self.kind is ExitKind.CODE and self.number == 0


class Verdict(StrEnum):
    """What the evidence says about who served the calls."""

    PROVEN = "proven"
    UNPROVEN = "unproven"  # no evidence either way: a missing audit line, for example
    REFUTED = "refuted"  # evidence that somebody else served them


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation: which check, what it saw, and which way it points."""

    check: str  # "bindings", "build id", "mallinfo", "counted calls", "elf imports", "children"
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Who served the allocation calls of one process tree, and how that is known."""

    expected: str
    served_by: str  # "" if nobody knows
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()

    @property
    def proven(self) -> bool:
        """The evidence says that the expected allocator served the calls."""
        return self.verdict is Verdict.PROVEN


@dataclass(frozen=True, slots=True)
class Sample:
    """One process run of one arm under one backend: everything it gave."""

    arm: str
    index: int
    backend: str
    exit: Exit
    readings: tuple[Reading, ...]
    report: OpReport | None = None
    proof: Proof | None = None
    problem: str = ""  # why this sample cannot be used; "" if it can
    audit: str | None = None
    """what the preloaded audit wrote (contract 2), which proof.py judges; None if it did not run"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is printed: with its interval, how it was got and from what."""

    name: str
    value: Value
    unit: str
    kind: Kind
    source: str
    interval: tuple[float, float] | None = None  # 95 %
    cv: float | None = None  # coefficient of variation over runs, 0.01 = 1 %
    runs: int = 0
    error: float = 0.0  # relative half-width that the source states, beside the spread of the runs
    note: str = ""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend works here; if not, why, and what the user can do about it."""

    usable: bool
    label: str  # "qemu-user 7.2 with counting plugin"
    why: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One measured run that a backend is asked for."""

    arm: str
    index: int
    target: Target
    allocator: Allocator
    cpus: frozenset[int] | None = None
    timeout_s: float = 600.0
    options: Mapping[str, str] = field(default_factory=dict)  # backend's own: {"simulate": "cache"}
    audit: bool = True
    """preload the audit of who serves; it allocates, millions of instructions on some allocators"""


class CountingBackend(Protocol):
    """A tool that turns one run into readings. One file in `backends/` provides one."""

    name: str
    kind: Kind
    needs_roi: bool  # measures nothing but a benchmark's region of interest
    first_ops: int  # a run of so many ops is long enough to begin with; doubled until steady

    def probe(self) -> Availability:
        """Look at the machine, cheaply and without side effects; cached by the caller."""
        ...

    def measure(self, job: Job) -> Sample:
        """Run the job once. Raises only `errors.HakprofError`."""
        ...
