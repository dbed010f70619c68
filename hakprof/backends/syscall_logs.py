"""What strace and `hakrun --trace-calls` wrote, as calls with numbers for arguments.

Each starts with the program itself: what the launcher did before is left out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hakprof.errors import InputError, TargetError
from hakprof.records import from_json

NAMES = ("mmap", "munmap", "madvise", "mremap", "brk")

EXEC = "execve"
LAUNCHER = "/hakrun"

_LINE = re.compile(r"(?P<task>\d+) +(?P<at>\d+\.\d+) (?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<args>.*)\) += (?P<result>-?\w+).*?(?:<(?P<took>[\d.]+)>)?$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_UNFINISHED = " <unfinished ...>"

_MAP_FLAGS = {"MAP_ANONYMOUS": 0x20, "MAP_STACK": 0x20000, "MAP_FIXED": 0x10}
_ADVICE = {4: "MADV_DONTNEED", 8: "MADV_FREE", 9: "MADV_REMOVE"}


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One system call that returned, or a program that was executed (`EXEC`)."""

    task: str
    name: str
    at_s: float
    took_s: float = 0.0
    numbers: tuple[int, ...] = (0, 0, 0)  # the first arguments; 0 for what is no number
    flags: frozenset[str] = frozenset()  # those of mmap and the advice that matter here
    result: int = 0
    failed: bool = False


def parse_strace(lines: Iterable[str]) -> Iterator[LoggedCall]:
    """The calls in strace's log (-f -ttt -T). Lines that are something else are passed over."""
    for task, at_s, text in _whole_calls(lines):
        match = _CALL.fullmatch(text)
        if match is None or match["name"] not in (*NAMES, EXEC):
            continue
        name, args = match["name"], match["args"]
        if name == EXEC and (match["result"] != "0" or LAUNCHER in args.partition(",")[0]):
            continue
        numbers = (*(_number(part.strip()) for part in args.split(",")), 0, 0, 0)
        known = (*_MAP_FLAGS, *_ADVICE.values())
        yield LoggedCall(
            task=task,
            name=name,
            at_s=at_s,
            took_s=float(match["took"] or 0),
            numbers=numbers,
            flags=frozenset(flag for flag in known if flag in args),
            result=_number(match["result"]),
            failed=match["result"].startswith("-"),
        )


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


def _number(text: str) -> int:
    """A decimal or hexadecimal number; 0 for NULL and for words."""
    try:
        return int(text, 0)
    except ValueError:
        return 0


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of `hakrun --trace-calls` (contract 5 of docs/architecture.md)."""

    task: int = 0
    name: str = ""
    at_ns: int = 0
    took_ns: int = 0
    args: tuple[int, ...] = (0, 0, 0, 0)
    result: int = 0
    failed: bool = False
    exe: str = ""
    error: str = ""


def parse_hakrun(lines: Iterable[str]) -> Iterator[LoggedCall]:
    """The calls that hakrun saw. TargetError if it could not see all; a broken line is one."""
    for text in lines:
        line = _hakrun_line(text)
        if line.error:
            raise TargetError(f"the calls could not be traced: {line.error}")
        if line.name == EXEC and line.exe.endswith(LAUNCHER):
            continue
        yield LoggedCall(
            task=str(line.task),
            name=line.name,
            at_s=line.at_ns / 1e9,
            took_s=line.took_ns / 1e9,
            numbers=line.args,
            flags=_flags(line),
            result=line.result,
            failed=line.failed,
        )


def _hakrun_line(text: str) -> _Line:
    try:
        data = json.loads(text)
        line = from_json(_Line, data)
    except (ValueError, RecursionError, InputError) as error:
        return _Line(error=f"a line of hakrun is broken ({error})")
    if data.get("hakcall") != 1 or len(line.args) != len(_Line().args):
        return _Line(error="a line of hakrun is of another version")
    return line


def _flags(line: _Line) -> frozenset[str]:
    if line.name == "mmap":
        return frozenset(name for name, bit in _MAP_FLAGS.items() if line.args[3] & bit)
    if line.name == "madvise":
        return frozenset(_ADVICE[word] for word in line.args[2:3] if word in _ADVICE)
    return frozenset()
