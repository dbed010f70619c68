"""How many allocation calls a program makes, and of which sizes, where it does not say so itself.

A run with the preloaded census (contract 5 of docs/architecture.md) is never a timed one: what it
counts belongs to the program and holds for each allocator.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hakprof import native, process
from hakprof.errors import InputError
from hakprof.model import Absence, Absent, Kind, Reading
from hakprof.records import from_json

VERSION = 1
SOURCE = "call census, a run of its own"

_FD_ENV = "HAKCENSUS_FD"
_ALLOCATING = (
    "malloc",
    "calloc",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "realloc_new",
)


@dataclass(frozen=True, slots=True)
class Census:
    """The calls of a whole process tree.

    `allocs`, `frees` and `ops` are those of the benchmark protocol: a realloc that moves a block is
    an op and neither of the two; free(NULL) is none.
    """

    calls: Mapping[str, int] = field(default_factory=dict)  # by the keys of the census's lines
    sizes: tuple[tuple[int, int], ...] = ()  # (largest size in bytes, allocations), ascending
    processes: int = 0  # images and forks that began to count
    lost: int = 0  # of them, those that were killed before they could tell
    peak_bytes: int | None = None
    """the most that one process had live at once, by the sizes asked for; None if not known"""

    @property
    def allocs(self) -> int:
        """Blocks that were asked for."""
        return sum(self.calls.get(name, 0) for name in _ALLOCATING)

    @property
    def frees(self) -> int:
        """Blocks that were given back."""
        get = self.calls.get
        return get("free", 0) - get("free_null", 0) + get("realloc_free", 0)

    @property
    def ops(self) -> int:
        """Calls that did something."""
        get = self.calls.get
        resized = get("realloc", 0) - get("realloc_new", 0) - get("realloc_free", 0)
        return self.allocs + self.frees + resized

    @property
    def problem(self) -> str:
        """Why the counts are not those of the whole program, "" if they are."""
        if not self.processes:
            return "the program wrote no census line: it is static, setuid, or undoes LD_PRELOAD"
        if self.lost:
            return f"{self.lost} of {self.processes} processes ended before they told their calls"
        return ""

    def readings(self) -> tuple[Reading, ...]:
        """`ops`, `allocs`, `frees` and `bytes_requested`, or why there are none."""
        counts = {
            "ops": self.ops,
            "allocs": self.allocs,
            "frees": self.frees,
            "bytes_requested": self.calls.get("bytes_requested", 0),
        }
        return tuple(self._reading(name, count) for name, count in counts.items())

    @property
    def asked(self) -> Reading:
        """`asked_bytes`: the most that the program had asked for at once."""
        return self._reading("asked_bytes", self.peak_bytes)

    @property
    def remote_share(self) -> float | None:
        """Blocks freed by another thread than allocated them, of all freed; None if unknown."""
        if self.problem or not self.frees:
            return None
        return self.calls.get("free_remote", 0) / self.frees

    def _reading(self, name: str, count: int | None) -> Reading:
        value: float | Absent
        if self.problem or count is None:
            why = self.problem or "there was no memory to remember every block"
            value = Absent(Absence.UNAVAILABLE, why)
        else:
            value = float(count)
        unit = "bytes" if "bytes" in name else "count"
        return Reading(name, value, unit, Kind.EXACT, SOURCE)


@dataclass(frozen=True, slots=True)
class _Line:
    pid: int
    at: str
    sizes: tuple[tuple[int, int], ...] = ()
    peak_bytes: int | None = None


def take(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float) -> Census:
    """Run a program once under the census. Raises TargetError if it cannot be started."""
    outcome = process.run(
        process.Command(
            argv=argv,
            preload=(native.library("hakcensus"),),
            env=env,
            pipes={"census": _FD_ENV},
            timeout_s=timeout_s,
        )
    )
    return parse(outcome.pipes["census"])


def parse(text: bytes) -> Census:
    """What the lines of a run add up to. A line that cannot be read is one that was lost."""
    calls: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    peaks: list[int | None] = []
    events: dict[int, list[str]] = {}
    unreadable = 0
    for line in text.splitlines():
        try:
            read, counts = _read(line)
        except (ValueError, RecursionError, InputError):
            unreadable += 1
            continue
        events.setdefault(read.pid, []).append(read.at)
        calls.update(counts)
        sizes.update(dict(read.sizes))
        peaks += [read.peak_bytes] if read.at == "end" else []
    known = [peak for peak in peaks if peak is not None]
    return Census(
        calls=calls,
        sizes=tuple(sorted(sizes.items())),
        processes=sum(history.count("start") for history in events.values()) + unreadable,
        lost=sum(map(_unfinished, events.values())) + unreadable,
        peak_bytes=max(known, default=None) if len(known) == len(peaks) else None,
    )


def _read(line: bytes) -> tuple[_Line, Mapping[str, int]]:
    data = json.loads(line.decode(errors="surrogateescape"))
    if not isinstance(data, dict) or data.get("hakcensus") != VERSION:
        raise InputError(f"not version {VERSION} of hakcensus")
    counts = {
        key: value
        for key, value in data.items()
        if key not in {"hakcensus", "pid", "threads", "peak_bytes"} and type(value) is int
    }
    return from_json(_Line, data), counts


def _unfinished(history: Iterable[str]) -> int:
    """How many starts no end follows before the next start, or at all."""
    told = True
    lost = 0
    for event in history:
        lost += event == "start" and not told
        told = event != "start"
    return lost + (not told)
