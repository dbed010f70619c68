"""The memory of a running program over time: what is mapped, resident, and only lazily freed.

A thread of ours reads /proc of the program and its children every few milliseconds. A look walks
the page tables (2 ms for 256 MiB resident), while calls that map must wait: a watched run is never
a timed run.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from hakprof.backends import launch
from hakprof.model import Availability, Job, Kind, Reading, Sample
from hakprof.process import run
from hakprof.units import NS_PER_S, show_ns

PROC = Path("/proc")
DEFAULT_INTERVAL_S = 0.01
LEAST_SHARE = 20
"""At most one part in so many of the time goes into looking."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The memory of all processes of a program at one moment."""

    at_s: float  # since the program was started
    mapped_bytes: int  # address space
    resident_bytes: int  # pages in memory, those lazily freed among them
    peak_bytes: int  # the most that was ever resident until now, by the kernel's own account
    lazy_bytes: int  # freed with MADV_FREE: the kernel takes them when it needs them
    huge_bytes: int  # in transparent huge pages
    most_mapped_bytes: int = 0  # the most that was ever mapped until now, by the kernel's account


@dataclass(slots=True)
class Watch:
    """Watches one process and its children from entry to exit; see `process.Beside`."""

    pid: int
    interval_s: float = DEFAULT_INTERVAL_S
    sights: list[Sight] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        started = time.monotonic()
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            before = time.monotonic()
            found = sight(self.pid, before - started)
            if found:
                self.sights.append(found)
            after = time.monotonic()
            pause_s = min(self.interval_s, after - started)  # a short program is seen, too
            pause_s = max(pause_s, LEAST_SHARE * (after - before))


class Watching:
    """A backend whose every run is watched; what was seen is kept by arm."""

    name = "watch"
    kind = Kind.TIMED
    needs_roi = False
    first_ops = 1

    def __init__(self, interval_s: float = DEFAULT_INTERVAL_S) -> None:
        self.seen: dict[str, tuple[Sight, ...]] = {}
        self._interval_s = interval_s

    def probe(self) -> Availability:
        """Needs a kernel that sums up memory maps (4.14 or newer)."""
        usable = (PROC / "self" / "smaps_rollup").exists()
        why = "" if usable else "this kernel has no /proc/PID/smaps_rollup"
        return Availability(usable=usable, label="memory over time", why=why)

    def measure(self, job: Job) -> Sample:
        """One run, watched from start to end."""
        watch: Watch | None = None

        def beside(pid: int) -> Watch:
            nonlocal watch
            watch = Watch(pid, self._interval_s)
            return watch

        outcome = run(launch.command(job), beside)
        self.seen[job.arm] = sights = tuple(watch.sights) if watch else ()
        return launch.sample(job, self.name, outcome, tuple(self._readings(sights)))

    def _readings(self, sights: Sequence[Sight]) -> Iterator[Reading]:
        if sights:
            most = max(sight.most_mapped_bytes for sight in sights)
            source = f"/proc, looked at every {show_ns(self._interval_s * NS_PER_S)}"
            yield Reading("mapped_bytes", float(most), "bytes", Kind.TIMED, source)


def sight(pid: int, at_s: float) -> Sight | None:
    """What the process and its children have now; None when there is nothing to see any more."""
    rows = [memory for process in family(pid) if (memory := _memory(process))]
    if not rows:
        return None
    return Sight(at_s, *(sum(column) for column in zip(*rows, strict=True)))


def family(pid: int) -> Iterator[int]:
    """The process, its children and theirs."""
    yield pid
    for tasks in _files(PROC / str(pid) / "task"):
        for child in _text(tasks / "children").split():
            yield from family(int(child))


def _memory(pid: int) -> tuple[int, ...] | None:
    """The bytes of a sight, in its order; None for a process that has ended, or not begun.

    Between exec and the mapping of the program a process has a page of stack, and no code.
    """
    total = dict(_fields(_text(PROC / str(pid) / "smaps_rollup")))
    status = dict(_fields(_text(PROC / str(pid) / "status")))
    if "Rss" not in total or not status.get("VmExe"):
        return None
    peak = max(status.get("VmHWM", 0), total["Rss"])
    lazy, huge = total.get("LazyFree", 0), total.get("AnonHugePages", 0)
    most = status.get("VmPeak", status["VmSize"])
    mapped = max(status["VmSize"], total["Rss"])  # it may go between the two looks
    return mapped, total["Rss"], peak, lazy, huge, max(most, mapped)


def _fields(text: str) -> Iterator[tuple[str, int]]:
    """(name, bytes) of the lines `Name:   123 kB`."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB" and words[1].isdecimal():  # noqa: PLR2004 (name, number, unit)
            yield words[0].removesuffix(":"), 1024 * int(words[1])


def _text(path: Path) -> str:
    """The file, "" where process or permission is gone."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
