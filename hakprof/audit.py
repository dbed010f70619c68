"""Reads what the audit and the launcher write about each program image (contracts 2 and 5).

The measured program inherits the descriptors and may write to them as well, and a long run may lose
its first lines: what cannot be read is counted, never guessed at.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
class AuditLine:
    """One program image, as its own dynamic loader bound it."""

    pid: int
    ppid: int
    exe: str
    entry: Mapping[str, tuple[str, str] | None]  # entry point -> (file, symbol) that defines it
    maps: tuple[tuple[str, str], ...]  # (file, build id) of every object that is loaded
    libc_mallinfo: LibcUse | None = None  # None: a C library that cannot tell
    calls: Calls | None = None  # None: an allocator that cannot tell

    def owner(self, function: str) -> str:
        """The file that defines `function`, "" if nobody does."""
        bound = self.entry.get(function)
        return bound[0] if bound else ""


@dataclass(frozen=True, slots=True)
class ExecLine:
    """One program image that the process tree executed, as the kernel saw it."""

    pid: int
    ppid: int
    exe: str
    preload: str | None  # the LD_PRELOAD it was started with
    static: bool
    secure: bool


Line = TypeVar("Line", AuditLine, ExecLine)


@dataclass(frozen=True, slots=True)
class Lines(Generic[Line]):
    """All lines that could be read, in the order in which they were written."""

    read: tuple[Line, ...]
    unreadable: int
    error: str = ""  # what the writer itself says it could not do


def audit_lines(text: bytes) -> Lines[AuditLine]:
    """What the preloaded audit wrote."""
    return _lines(text, "hakaudit", AuditLine)


def exec_lines(text: bytes) -> Lines[ExecLine]:
    """What `hakrun --trace-exec` wrote."""
    return _lines(text, "hakexec", ExecLine)


def _lines(text: bytes, tag: str, cls: type[Line]) -> Lines[Line]:
    read = []
    unreadable = 0
    error = ""
    for line in text.decode(errors="surrogateescape").split("\n"):
        if not line:
            continue
        try:
            data = _tagged(line, tag)
            if "error" in data:
                error = str(data["error"])
            else:
                read.append(from_json(cls, data))
        except (ValueError, RecursionError, InputError):
            unreadable += 1
    return Lines(tuple(read), unreadable, error)


def _tagged(line: str, tag: str) -> dict[str, Any]:
    data = json.loads(line)
    if not isinstance(data, dict) or data.get(tag) != VERSION:
        raise InputError(f"not version {VERSION} of {tag}")
    return data
