"""Exact costs of every address, out of a callgrind.out file, as a profile.

Needs --dump-instr=yes --collect-jumps=yes --compress-pos=no. callgrind writes addresses as they
stand in each file, and counts a REP-prefixed instruction once a turn: each further turn is a jump
to itself, which is taken off again.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hakprof.errors import InputError
from hakprof.model import Kind
from hakprof.profile import Image, ImageKind, Profile
from hakprof.symbols.elf_image import open_image

MAGIC = "# callgrind format"
MAX_ADDRESSES = 1 << 24
MAX_COUNT = 1 << 60
COST = re.compile(r"(0x[0-9a-f]{1,16}) \d+ (\d{1,19})")
OBJECT = re.compile(r"(c?ob)=\((\d+)\)(?: (.+))?")
JUMP = re.compile(r"(?:jump=|jcnd=)(\d+)(?:/\d+)? (0x[0-9a-f]+)\b")
NOT_OF_A_FILE = "???"

Costs = dict[tuple[str, int], int]


def read_callgrind(path: Path) -> Profile:
    """The profile of one file. Raises InputError: broken, without addresses, or empty."""
    try:
        with path.open(errors="backslashreplace") as lines:
            costs = parse_costs(lines)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", advice=error.advice) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    if not costs:
        raise InputError(
            f"{path}: no costs of addresses", advice="callgrind needs --dump-instr=yes"
        )
    return _profile(costs)


def parse_costs(lines: Iterable[str]) -> Costs:
    """(file, address in it) -> instructions executed there. InputError if it is no whole file."""
    parser = _Parser()
    for line in lines:
        parser.take(line)
    if not parser.complete:
        raise InputError("not a whole callgrind file: it has no totals")
    if any(count < 0 for count in parser.costs.values()):
        raise InputError("more repeats of an instruction than executions")
    return parser.costs


class _Parser:
    """Takes the file line by line."""

    def __init__(self) -> None:
        self.costs: Costs = defaultdict(int)
        self.complete = False
        self._names: dict[str, str] = {}
        self._file = NOT_OF_A_FILE
        self._after_calls = False
        self._turns: tuple[int, str] | None = None  # of a jump: how often, and to where

    def take(self, line: str) -> None:
        if self._after_calls:  # the cost of whole calls, which lines of their own hold
            self._after_calls = False
        elif self._turns:
            if line.split(" ", 1)[0] == self._turns[1]:  # a jump to itself
                self.costs[self._file, int(self._turns[1], 16)] -= self._turns[0]
            self._turns = None
        elif match := COST.match(line):
            self.costs[self._file, int(match[1], 16)] += int(match[2])
            if len(self.costs) > MAX_ADDRESSES:
                raise InputError(f"more than {MAX_ADDRESSES} addresses")
        else:
            self._take_word(line)

    def _take_word(self, line: str) -> None:
        if match := JUMP.match(line):
            self._turns = int(match[1]), match[2]
        elif match := OBJECT.match(line):
            if match[3]:
                self._names[match[2]] = match[3]
            if match[1] == "ob":
                self._file = self._names.get(match[2], NOT_OF_A_FILE)
        elif line.startswith("calls="):
            self._after_calls = True
        elif line.startswith("totals:"):
            self.complete = True


def _profile(costs: Costs) -> Profile:
    images: dict[Image, int] = {}
    rows: list[tuple[int, int, int]] = []
    by_file: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (file, address), count in costs.items():
        by_file[file].append((address, count))
    for file, counts in by_file.items():
        counts.sort()
        image = _image(file)
        number = images.setdefault(image, len(images))
        offsets = np.array([address for address, _ in counts], np.uint64)
        if image.kind is ImageKind.FILE:
            offsets = open_image(Path(file)).offsets(offsets)
        rows += [(number, int(o), n) for o, (_, n) in zip(offsets, counts, strict=True)]
    if max(row[2] for row in rows) > MAX_COUNT:
        raise InputError(f"more than {MAX_COUNT} executions of an instruction")
    weight = np.array([row[2] for row in rows], np.int64)
    return Profile(
        kind=Kind.EXACT,
        event="instructions",
        unit="instructions",
        source="callgrind, emulated CPU",
        images=tuple(images),
        image=np.array([row[0] for row in rows], np.int64),
        offset=np.array([row[1] for row in rows], np.uint64),
        weight=weight.astype(np.float64),
        samples=weight,
    )


def _image(file: str) -> Image:
    if not file.startswith("/"):
        return Image(ImageKind.UNKNOWN, "[unknown]")
    try:
        open_image(Path(file))
    except InputError:
        return Image(ImageKind.UNKNOWN, file)
    return Image(ImageKind.FILE, file)
