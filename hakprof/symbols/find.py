"""The file that an address was recorded in: by build id first, never a file of another build."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from hakprof.errors import InputError
from hakprof.profile import Image, ImageKind
from hakprof.symbols.elf_image import ElfImage, c_string, open_image
from hakprof.symbols.table import has_symbols

DEBUG_FOLDER = Path("/usr/lib/debug")


@dataclass(frozen=True, slots=True)
class Located:
    """What was found of a recorded file."""

    code: ElfImage | None  # the file itself
    names: ElfImage | None  # the same, or its separate debug file: symbols and lines
    problem: str  # why names or lines are missing, in words for the user; "" if all is there
    rebuilt: bool = False  # another build lies in its place


def locate(image: Image) -> Located:
    """Find code and debug information of a file that was recorded."""
    if image.kind is not ImageKind.FILE:
        return Located(None, None, f"{image.path} is no file")
    return _locate(image.path, image.build_id)


@functools.lru_cache(maxsize=1024)
def _locate(name: str, build_id: str) -> Located:
    path = Path(name)
    candidates = [path]
    if build_id:  # perf keeps a copy of what it recorded
        cached = Path.home() / ".debug" / ".build-id" / build_id[:2] / build_id[2:] / "elf"
        candidates.append(cached)
    rebuilt = False
    problem = f"{name} is not on this machine"
    for candidate in candidates:
        try:
            code = open_image(candidate)
        except InputError as error:
            if candidate.is_file():
                problem = error.message
            continue
        if build_id and code.build_id != build_id:
            rebuilt = True
            problem = f"{name} was rebuilt since the recording (its build id differs)"
            continue
        return _with_debug_file(code, name)
    return Located(None, None, problem, rebuilt)


def _with_debug_file(code: ElfImage, name: str) -> Located:
    if has_symbols(code) and code.has_debug_info:
        return Located(code, code, "")
    for candidate in _debug_files(code, Path(name)):
        try:
            debug = open_image(candidate)
        except InputError:
            continue
        if debug.build_id == code.build_id and (has_symbols(debug) or debug.has_debug_info):
            return Located(code, debug, "")
    if has_symbols(code):
        return Located(code, code, f"{name} has no debug information: no lines, no inlined calls")
    return Located(code, code, f"{name} is stripped: only the names that it exports are known")


def _debug_files(code: ElfImage, path: Path) -> list[Path]:
    """Where a separate debug file would lie (gdb's conventions)."""
    found = []
    if code.build_id:
        found.append(DEBUG_FOLDER / ".build-id" / code.build_id[:2] / f"{code.build_id[2:]}.debug")
    link = code.by_name.get(".gnu_debuglink")
    if link is not None:
        name = c_string(code.read(link), 0)
        if name and os.sep not in name:
            folder = path.resolve().parent
            found += [
                folder / name,
                folder / ".debug" / name,
                DEBUG_FOLDER / folder.relative_to("/") / name,
            ]
    return found
