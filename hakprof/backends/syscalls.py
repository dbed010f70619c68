"""How an allocator gets memory from the kernel and gives it back: every such call, traced.

Counted are anonymous mmap, munmap, madvise, mremap and brk of the program and its children, from
the program's own start on. What the loader maps from files and thread stacks are no allocator's
doing and left out. strace does it where it is there, hakrun by ptrace where not. Times are those
under the tracer, which stops the program at each call: good for telling which call costs most, not
for subtracting from a run without one.
"""

import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hakprof import native
from hakprof.backends import launch
from hakprof.backends.syscall_logs import EXEC, NAMES, LoggedCall, parse_hakrun, parse_strace
from hakprof.errors import BackendError, TargetError
from hakprof.model import Allocator, Availability, Job, Kind, Reading, Sample, Target
from hakprof.process import PATIENCE_S, Command, Outcome, find_program, run

RETURNING = {"MADV_DONTNEED", "MADV_FREE", "MADV_REMOVE"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that moved memory between kernel and program."""

    name: str
    at_s: float  # since the program's start
    took_s: float
    mapped_bytes: int  # address space: more if positive, less if negative
    returned_bytes: int  # memory given back, by unmapping or by advice
    failed: bool


@dataclass(frozen=True, slots=True)
class Tracer:
    """A tool that writes every call of a job into a log, and what reads the log."""

    name: str
    command: Callable[[Job, BinaryIO], Command]
    parse: Callable[[Iterable[str]], Iterator[LoggedCall]]


def _strace(job: Job, log: BinaryIO) -> Command:
    options = ("-f", "--seccomp-bpf", "-ttt", "-T", "-qq", "-e", "signal=none")
    wanted = f"trace={','.join((*NAMES, EXEC))}"
    return launch.command(job, wrapper=("strace", *options, "-e", wanted, "-o", log.name))


def _ptrace(job: Job, log: BinaryIO) -> Command:
    fd = log.fileno()
    wrapper = (str(native.program("hakrun")), "--trace-calls", str(fd), "--")
    return launch.command(job, wrapper=wrapper, pass_fds=(fd,))


TRACERS = (Tracer("strace", _strace, parse_strace), Tracer("ptrace", _ptrace, parse_hakrun))
"""The best first: strace stops a program at these calls only, hakrun at every call."""


class Syscalls:
    """The backend: counts, times and bytes of these calls as readings."""

    name = "syscalls"
    kind = Kind.EXACT
    needs_roi = False
    first_ops = 100_000

    def __init__(self) -> None:
        self.seen: dict[str, tuple[Call, ...]] = {}  # by arm: every call of its last run

    def probe(self) -> Availability:
        """Whether something here may trace."""
        if self.tracer:
            return Availability(usable=True, label=self.tracer.name)
        return Availability(
            usable=False,
            label="system calls",
            why="neither strace nor ptrace may trace here",
            advice="allow ptrace (a container needs --cap-add SYS_PTRACE)",
        )

    @functools.cached_property
    def tracer(self) -> Tracer | None:
        """The first that can trace a small program."""
        return next((tracer for tracer in TRACERS if _works(tracer)), None)

    def measure(self, job: Job) -> Sample:
        """One traced run."""
        sample, calls = self.trace(job)
        self.seen[job.arm] = tuple(calls)
        return sample

    def trace(self, job: Job) -> tuple[Sample, list[Call]]:
        """One traced run: the sample, and each call in the order in which they ended."""
        if self.tracer is None:
            raise BackendError(self.probe().why, advice=self.probe().advice)
        outcome, calls = _traced(self.tracer, job)
        found = list(readings(calls, self.tracer.name))
        return launch.sample(job, self.name, outcome, found), calls


def _traced(tracer: Tracer, job: Job) -> tuple[Outcome, list[Call]]:
    with tempfile.TemporaryDirectory(prefix="hakprof-") as folder:
        with Path(folder, "calls").open("wb") as log:
            outcome = run(tracer.command(job, log))
        with Path(log.name).open(encoding="utf-8", errors="replace") as lines:
            return outcome, list(account(tracer.parse(lines)))


def _works(tracer: Tracer) -> bool:
    """Whether the calls of a small program are seen."""
    if tracer.name == "strace" and find_program("strace") is None:
        return False
    target = Target("true", ("true",), is_benchmark=False)
    job = Job("", 0, target, Allocator("", None), timeout_s=PATIENCE_S, audit=False)
    try:
        outcome, calls = _traced(tracer, job)
    except TargetError:
        return False
    return outcome.exit.ok and bool(calls)


def readings(calls: Iterable[Call], source: str) -> Iterator[Reading]:
    """Totals of a run."""
    rows = list(calls)
    for name in NAMES:
        count = sum(call.name == name for call in rows)
        yield Reading(f"{name}_calls", float(count), "calls", Kind.EXACT, source)
    returned = float(sum(call.returned_bytes for call in rows))
    yield Reading("returned_bytes", returned, "bytes", Kind.EXACT, source)
    took_ns = 1e9 * sum(call.took_s for call in rows)
    yield Reading("memory_calls_ns", took_ns, "ns", Kind.TIMED, source)


@dataclass(slots=True)
class _Memory:
    """What has to be known of earlier calls to understand a later one."""

    started_s: float | None = None
    tops: dict[str, int] = field(default_factory=dict)  # task -> program break
    stacks: list[range] = field(default_factory=list)


def account(logged: Iterable[LoggedCall]) -> Iterator[Call]:
    """The calls that an allocator makes, as bytes that came and went."""
    memory = _Memory()
    for call in logged:
        if call.name == EXEC:
            memory.started_s = call.at_s if memory.started_s is None else memory.started_s
            memory.tops.pop(call.task, None)
        elif memory.started_s is not None and (moved := _moved(memory, call)) is not None:
            yield Call(
                name=call.name,
                at_s=call.at_s - memory.started_s,
                took_s=call.took_s,
                mapped_bytes=0 if call.failed else moved[0],
                returned_bytes=0 if call.failed else moved[1],
                failed=call.failed,
            )


def _moved(memory: _Memory, call: LoggedCall) -> tuple[int, int] | None:
    """(mapped, returned) bytes; None if the call is the loader's or a thread stack's."""
    start, length, other = call.numbers[:3]
    if call.name == "mmap":
        if "MAP_ANONYMOUS" not in call.flags:
            return None
        if "MAP_STACK" in call.flags:
            memory.stacks.append(range(call.result, call.result + length))
            return None
        return (0 if "MAP_FIXED" in call.flags else length), 0
    if call.name == "madvise":
        if any(start in stack for stack in memory.stacks):
            return None
        return 0, length if call.flags & RETURNING else 0
    if call.name == "brk":
        mapped = call.result - memory.tops.get(call.task, call.result)
        memory.tops[call.task] = call.result
    else:
        mapped = -length if call.name == "munmap" else other - length
    return mapped, max(0, -mapped)
