"""Stages of an allocator: small maps from functions and files to names, `data/stages/NAME.toml`.

libraries   patterns of the files the allocator lives in
whole       true if all of such a file is the allocator; false for the C library
[[stage]]   in order; the first one that fits an inlined call wins, innermost call first
name        what is shown
functions   patterns of function names, without what compilers append (.part.0, .cold)
files       patterns of source files
"""

import functools
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hakprof import records
from hakprof.errors import InputError
from hakprof.symbols.lines import Chain

FOLDER = Path(__file__).resolve().parent.parent / "data" / "stages"
KERNEL = "kernel (system calls, page faults)"
PROGRAM = "program and its libraries"
UNATTRIBUTED = "not attributed"
ENTRY = "entry points"
"""How the name of the stage of exported functions begins, in every map."""

SUFFIX = re.compile(r"\.(part|cold|constprop|isra|lto_priv|llvm)\b.*$")


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of a map."""

    name: str
    functions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def fits(self, function: str, file: str) -> bool:
        """Whether a function of a source file belongs to it."""
        return any(fnmatchcase(function, p) for p in self.functions) or any(
            fnmatchcase(file, p) for p in self.files
        )


@dataclass(frozen=True, slots=True)
class StageMap:
    """The stages of one allocator."""

    name: str
    libraries: tuple[str, ...]
    stage: tuple[Stage, ...]
    whole: bool = True

    def lives_in(self, library: str) -> bool:
        """Whether a file (by the last part of its path) holds this allocator."""
        return any(fnmatchcase(library, pattern) for pattern in self.libraries)

    def find(self, function: str, chain: Chain) -> str:
        """The stage of an address; "" if the map knows none."""
        for place in chain:
            if found := self._stage(place.function, place.file):
                return found
        return self._stage(function, "")

    def _stage(self, function: str, file: str) -> str:
        plain = SUFFIX.sub("", function).removesuffix("@plt")
        return next((stage.name for stage in self.stage if stage.fits(plain, file)), "")


@functools.cache
def stage_maps() -> tuple[StageMap, ...]:
    """All maps, by name."""
    return tuple(load(path) for path in sorted(FOLDER.glob("*.toml")))


def load(path: Path) -> StageMap:
    """One map. InputError naming the file and the place."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return records.from_json(StageMap, {"name": path.stem, **table})
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: {error}") from error


def map_of(library: str) -> StageMap | None:
    """The map of the allocator that lives in a file, if one does."""
    return next((found for found in stage_maps() if found.lives_in(library)), None)
