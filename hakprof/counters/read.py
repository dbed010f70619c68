"""Finds and reads counter files: a document, a live file, a folder of both, or a process."""

import os
import re
from pathlib import Path

from hakprof.counters.binary import HEADER_BYTES, MAGIC, parse_header, parse_live
from hakprof.counters.document import parse_document
from hakprof.counters.dump import Dump, State
from hakprof.errors import InputError

MAX_FILE_BYTES = 1 << 30
LIVE_SUFFIX = ".live"
MAX_DOCUMENTS = 10_000
READ_TRIES = 20


def read_dumps(path: Path) -> list[Dump]:
    """All dumps of a file or a folder, in the order in which the processes started.

    Where the document is not there but its live file is, the process did not come to write it: the
    live file is read instead. Raises InputError if there is nothing to read.
    """
    if path.is_dir():
        return _read_folder(path)
    live = path.with_name(path.name + LIVE_SUFFIX)
    if not path.exists() and live.exists():
        return [read_live(live)]
    return read_file(path)


def _read_folder(folder: Path) -> list[Dump]:
    files = [p for p in sorted(folder.iterdir()) if p.suffix in {".json", LIVE_SUFFIX}]
    dumps: list[Dump] = []
    errors: list[InputError] = []
    for path in files:
        try:
            dumps += read_file(path)
        except InputError as error:
            errors.append(error)
    if not dumps:
        raise (
            errors[0]
            if errors
            else InputError(
                f"{folder}: no counter file (*.json, *{LIVE_SUFFIX}) in it",
                advice="run the program with HAKMEM_COUNTERS=FOLDER/ and libhakmem-counters.so",
            )
        )
    # A process may have been dumped on demand before: its last word counts.
    last = {(dump.pid, dump.started_ns): dump for dump in sorted(dumps, key=_lateness)}
    return sorted(last.values(), key=lambda dump: (dump.started_ns, dump.pid))


def _lateness(dump: Dump) -> tuple[bool, int]:
    return dump.state is not State.RUNNING, dump.written_ns


def read_file(path: Path) -> list[Dump]:
    """The dumps in one file: one, or several where a descriptor received them."""
    if path.suffix == LIVE_SUFFIX:
        return [read_live(path)]
    data = _bytes(path)
    try:
        if data.startswith(MAGIC):
            return [parse_live(data, str(path))]
        text = data.decode(errors="replace").strip()
        dumps: list[Dump] = []
        while text and len(dumps) < MAX_DOCUMENTS:
            dump, text = parse_document(text, str(path))
            dumps.append(dump)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", advice=error.advice) from error
    if not dumps:
        raise InputError(f"{path}: empty", advice="did the program run to its end?")
    return dumps


def read_live(path: Path) -> Dump:
    """A live file, read again while a thread that ends is moving its counts."""
    for _ in range(READ_TRIES):
        data = _bytes(path)
        try:
            _, before = parse_header(data)
            if before.moves % 2 == 0 and _moves(path) == before.moves:
                break
        except InputError as error:
            raise InputError(f"{path}: {error.message}", advice=error.advice) from error
    try:
        return parse_live(data, str(path))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", advice=error.advice) from error


def _moves(path: Path) -> int:
    with path.open("rb") as file:
        return parse_header(file.read(HEADER_BYTES))[1].moves


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: {size} bytes, at most {MAX_FILE_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def live_file_of(pid: int) -> Path:
    """The live file of a running process, from its mappings. Raises InputError."""
    maps = Path(f"/proc/{pid}/maps")
    try:
        text = os.fsdecode(maps.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"there is no process {pid}") from error
    except OSError as error:
        raise InputError(f"process {pid}: {error.strerror}") from error
    for match in re.finditer(r"^\S+ rw-s \S+ \S+ \d+ +(/.*\.live)$", text, re.MULTILINE):
        path = Path(f"/proc/{pid}/root{match[1]}")
        if path.exists():
            return path
    if "libhakmem-counters" in text:
        raise InputError(
            f"process {pid} counts, but has no file that can be read from outside",
            advice="start it with HAKMEM_COUNTERS=FILE",
        )
    raise InputError(
        f"process {pid} does not run on hakmem with counters",
        advice="start it with HAKMEM_COUNTERS=FILE LD_PRELOAD=libhakmem-counters.so",
    )
