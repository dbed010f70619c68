"""How an allocator gets memory from the kernel and gives it back: every such call, by strace.

Counted are anonymous mmap, munmap, madvise, mremap and brk of the program and its children, from
the program's own start on. What the loader maps from files and thread stacks are no allocator's
doing and left out. Times are those under strace, which stops the program at each call: good for
telling which call costs most, not for subtracting from a run without strace.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hakprof.backends import launch
from hakprof.model import Availability, Job, Kind, Reading, Sample
from hakprof.process import Command, find_program, run

NAMES = ("mmap", "munmap", "madvise", "mremap", "brk")

PROBE_TIMEOUT_S = 10.0

_LINE = re.compile(r"(?P<task>\d+) +(?P<at>\d+\.\d+) (?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<args>.*)\) += (?P<result>-?\w+).*?(?:<(?P<took>[\d.]+)>)?$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = " <unfinished ...>"
_RETURNING = ("MADV_DONTNEED", "MADV_FREE", "MADV_REMOVE")
_LAUNCHER = "/hakrun"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that moved memory between kernel and program."""

    name: str
    at_s: float  # since the program's start
    took_s: float
    mapped_bytes: int  # address space: more if positive, less if negative
    returned_bytes: int  # memory given back, by unmapping or by advice
    failed: bool


class Syscalls:
    """The backend: counts, times and bytes of these calls as readings."""

    name = "strace"
    kind = Kind.EXACT
    needs_roi = False
    first_ops = 100_000

    def probe(self) -> Availability:
        """Whether strace is there and may trace."""
        if find_program("strace") is None:
            return Availability(
                usable=False,
                label="strace",
                why="strace is missing",
                advice="apt-get install strace",
            )
        command = Command(("strace", "-o", "/dev/null", "true"), timeout_s=PROBE_TIMEOUT_S)
        outcome = run(command)
        return Availability(
            usable=outcome.exit.ok,
            label="strace",
            why="" if outcome.exit.ok else launch.last_line(outcome.stderr),
            advice=""
            if outcome.exit.ok
            else "allow ptrace (a container needs --cap-add SYS_PTRACE)",
        )

    def measure(self, job: Job) -> Sample:
        """One run under strace."""
        return self.trace(job)[0]

    def trace(self, job: Job) -> tuple[Sample, list[Call]]:
        """One run under strace: the sample, and each call in the order in which they ended."""
        with tempfile.TemporaryDirectory(prefix="hakprof-") as folder:
            log = Path(folder) / "strace"
            wanted = ",".join((*NAMES, "execve"))
            options = ("-f", "--seccomp-bpf", "-ttt", "-T", "-qq", "-e", "signal=none")
            wrapper = ("strace", *options, "-e", f"trace={wanted}", "-o", str(log))
            outcome = run(launch.command(job, wrapper=wrapper))
            with log.open(encoding="utf-8", errors="replace") as lines:
                calls = list(parse(lines))
        return launch.sample(job, self.name, outcome, list(readings(calls))), calls


def readings(calls: Iterable[Call]) -> Iterator[Reading]:
    """Totals of a run."""
    rows = list(calls)
    for name in NAMES:
        count = sum(call.name == name for call in rows)
        yield Reading(f"{name}_calls", float(count), "calls", Kind.EXACT, "strace")
    returned = float(sum(call.returned_bytes for call in rows))
    yield Reading("returned_bytes", returned, "bytes", Kind.EXACT, "strace")
    took_ns = 1e9 * sum(call.took_s for call in rows)
    yield Reading("memory_calls_ns", took_ns, "ns", Kind.TIMED, "strace")


@dataclass(slots=True)
class _Memory:
    """What has to be known of earlier calls to understand a later one."""

    started_s: float | None = None
    tops: dict[str, int] = field(default_factory=dict)  # task -> program break
    stacks: list[range] = field(default_factory=list)


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """The calls in strace's log (-f -ttt -T). Lines that are something else are passed over."""
    memory = _Memory()
    for task, at_s, text in _whole_calls(lines):
        match = _CALL.fullmatch(text)
        if match is None:
            continue
        if match["name"] == "execve":
            if match["result"] == "0" and _LAUNCHER not in match["args"].partition(",")[0]:
                memory.started_s = at_s if memory.started_s is None else memory.started_s
                memory.tops.pop(task, None)
        elif memory.started_s is not None and (call := _call(memory, task, at_s, match)):
            yield call


def _whole_calls(lines: Iterable[str]) -> Iterator[tuple[str, float, str]]:
    """(task, start, call) with the halves of interrupted lines put together."""
    halves: dict[str, tuple[float, str]] = {}
    for line in lines:
        match = _LINE.fullmatch(line.rstrip("\n"))
        if match is None:
            continue
        task, at_s, text = match["task"], float(match["at"]), match["rest"]
        if text.endswith(_UNFINISHED):
            halves[task] = (at_s, text.removesuffix(_UNFINISHED))
        elif resumed := _RESUMED.fullmatch(text):
            at_s, start = halves.pop(task, (at_s, ""))
            yield task, at_s, start + resumed[2]
        else:
            yield task, at_s, text


def _call(memory: _Memory, task: str, at_s: float, match: re.Match[str]) -> Call | None:
    """The call as bytes that came and went; None if it is the loader's or a thread stack's."""
    name, args = match["name"], match["args"]
    numbers = [*(_number(part.strip()) for part in args.split(",")), 0, 0]
    result = _number(match["result"])
    failed = match["result"].startswith("-")
    mapped = returned = 0
    if name == "mmap":
        if "MAP_ANONYMOUS" not in args:
            return None
        if "MAP_STACK" in args:
            memory.stacks.append(range(result, result + numbers[1]))
            return None
        mapped = 0 if "MAP_FIXED" in args else numbers[1]
    elif name == "madvise":
        if any(numbers[0] in stack for stack in memory.stacks):
            return None
        returned = numbers[1] if any(advice in args for advice in _RETURNING) else 0
    elif name in {"munmap", "mremap", "brk"}:
        mapped = {
            "munmap": -numbers[1],
            "mremap": numbers[2] - numbers[1],
            "brk": result - memory.tops.get(task, result),
        }[name]
        returned = max(0, -mapped)
        if name == "brk":
            memory.tops[task] = result
    else:
        return None
    took_s = float(match["took"] or 0)
    since_s = at_s - (memory.started_s or at_s)
    if failed:
        return Call(name, since_s, took_s, 0, 0, failed=True)
    return Call(name, since_s, took_s, mapped, returned, failed=False)


def _number(text: str) -> int:
    """A decimal or hexadecimal number; 0 for NULL and for words."""
    try:
        return int(text, 0)
    except ValueError:
        return 0
