"""Reads what the audit and the launcher write about each program image (contracts 2 and 5).

The measured program inherits the descriptors and may write to them as well, and a long run may lose
its first lines: what cannot be read is counted, never guessed at.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hakprof.errors import InputError
from hakprof.records import from_json

VERSION = 1


@dataclass(frozen=True, slots=True)
class LibcUse:
    """Bytes that glibc's own malloc says are in use, around the audit's allocations."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls the allocator itself says it served."""

    allocs: int
    frees: int


@dataclass(frozen=True, slots=True)
class StartLine:
    """One program image, as its own dynamic loader bound it."""

    pid: int
    ppid: int
    exe: str
    entry: Mapping[str, tuple[str, str] | None]  # entry point -> (file, symbol) that defines it
    maps: tuple[tuple[str, str], ...]  # (file, build id) of every object that is loaded
    libc_mallinfo: LibcUse | None = None  # None: a C library that cannot tell
    calls: Calls | None = None  # None: an allocator that cannot tell
    operator_new: Mapping[str, tuple[str, str] | None] = field(default_factory=dict)

    def owner(self, function: str) -> str:
        """The file that defines `function`, "" if nobody does."""
        bound = self.entry.get(function)
        return bound[0] if bound else ""

    @property
    def operator_owner(self) -> str:
        """The file that defines C++'s operator new, "" if nobody does."""
        return next((bound[0] for bound in self.operator_new.values() if bound), "")


@dataclass(frozen=True, slots=True)
class MapsLine:
    """More loaded objects of the image that the process has started last."""

    pid: int
    maps: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExitLine:
    """A process that ended by itself, a forked one as well."""

    pid: int
    ppid: int
    exe: str
    libc_obtained: int | None  # bytes that glibc's own malloc has from the system
    libc_copies: int  # C libraries that are mapped


@dataclass(frozen=True, slots=True)
class ExecLine:
    """One program image that the process tree executed, as the kernel saw it."""

    pid: int
    ppid: int
    exe: str
    preload: str | None  # the LD_PRELOAD it was started with
    static: bool
    secure: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """What a run's processes wrote, in order."""

    starts: tuple[StartLine, ...] = ()
    exits: tuple[ExitLine, ...] = ()
    execs: tuple[ExecLine, ...] = ()
    unreadable: int = 0
    error: str = ""  # what the writer itself says it could not do


def audit_lines(text: bytes) -> Lines:
    """What the preloaded audit wrote: `starts` and `exits`."""
    return _lines(text, "hakaudit")


def exec_lines(text: bytes) -> Lines:
    """What `hakrun --trace-exec` wrote: `execs`."""
    return _lines(text, "hakexec")


def _lines(text: bytes, tag: str) -> Lines:
    starts: list[StartLine] = []
    exits: list[ExitLine] = []
    execs: list[ExecLine] = []
    unreadable = 0
    error = ""
    for line in filter(None, text.decode(errors="surrogateescape").split("\n")):
        try:
            match _tagged(line, tag):
                case {"error": why}:
                    error = str(why)
                case {"hakexec": _, **data}:
                    execs.append(from_json(ExecLine, data))
                case {"at": "exit", **data}:
                    exits.append(from_json(ExitLine, data))
                case {"at": "maps", **data}:
                    _extend(starts, from_json(MapsLine, data))
                case data:
                    starts.append(from_json(StartLine, data))
        except (ValueError, RecursionError, InputError):
            unreadable += 1
    return Lines(tuple(starts), tuple(exits), tuple(execs), unreadable, error)


def _tagged(line: str, tag: str) -> dict[str, Any]:
    data = json.loads(line)
    if not isinstance(data, dict) or data.get(tag) != VERSION:
        raise InputError(f"not version {VERSION} of {tag}")
    return data


def _extend(starts: list[StartLine], more: MapsLine) -> None:
    """Give the objects to the image that they belong to."""
    for i in reversed(range(len(starts))):
        if starts[i].pid == more.pid:
            starts[i] = replace(starts[i], maps=starts[i].maps + more.maps)
            return
    raise InputError(f"objects of a process {more.pid} that has not started")
