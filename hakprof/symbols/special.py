"""Code that lies in no file: the kernel's, the vDSO's, and what a JIT compiler made."""

import re
from pathlib import Path

import numpy as np

from hakprof.errors import InputError
from hakprof.profile import Image
from hakprof.symbols.elf_image import open_image, parse_build_id
from hakprof.symbols.table import Columns, Function, FunctionTable, function_table, table_of

KALLSYMS = Path("/proc/kallsyms")
KERNEL_NOTES = Path("/sys/kernel/notes")
KALLSYMS_DIGITS, KALLSYMS_LETTER_AT, KALLSYMS_NAME_AT = 16, 17, 19
KALLSYMS_CODE = np.frombuffer(b"tTwW", np.uint8)
MAX_MAP_BYTES = 256 << 20
JIT_LINE = re.compile(rb"^([0-9a-fA-F]+) ([0-9a-fA-F]+) (.+)$", re.MULTILINE)


def kernel_table(build_id: str) -> FunctionTable:
    """Functions of the running kernel. InputError if they are hidden or it is another kernel."""
    try:
        running = parse_build_id(KERNEL_NOTES.read_bytes(), "<")
    except OSError:
        running = ""
    if build_id and running and running != build_id:
        raise InputError("recorded under another kernel: its functions have no names here")
    try:
        columns = parse_kallsyms(KALLSYMS.read_bytes())
    except OSError as error:
        raise InputError(f"{KALLSYMS} cannot be read ({error.strerror})") from error
    if not columns.start.any():
        raise InputError(
            "the kernel hides its addresses from this user",
            advice="sysctl kernel.kptr_restrict=0, or run as root",
        )
    return FunctionTable(columns)


def parse_kallsyms(text: bytes) -> Columns:
    """Lines `ffffffff81000000 T name`, maybe with a tab and a module, as columns."""
    raw = np.frombuffer(text, np.uint8)
    starts = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(raw == ord("\n")) + 1))
    starts = starts[starts + KALLSYMS_NAME_AT < raw.size]
    starts = starts[np.isin(raw[starts + KALLSYMS_LETTER_AT], KALLSYMS_CODE)]
    address = np.zeros(starts.size, np.uint64)
    for digit in range(KALLSYMS_DIGITS):
        character = raw[starts + digit].astype(np.uint64)
        value = np.where(character > ord("9"), character - np.uint64(ord("a") - 10), character)
        address = address << np.uint64(4) | (value & np.uint64(15))
    names = text.replace(b"\n", b"\0").replace(b"\t", b"\0")
    sizes, ranks = np.zeros(starts.size, np.uint64), np.ones(starts.size, np.int64)
    return Columns(address, sizes, starts + KALLSYMS_NAME_AT, names, ranks)


def vdso_table(build_id: str, folder: Path) -> FunctionTable:
    """Functions of our own vDSO, if it is the recorded one. `folder` takes a copy of it."""
    path = folder / "vdso.so"
    path.write_bytes(_own_vdso())
    image = open_image(path)
    if build_id and image.build_id != build_id:
        raise InputError("recorded with another vDSO: its functions have no names here")
    return function_table(image)


def _own_vdso() -> bytes:
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        if line.endswith("[vdso]"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            with Path("/proc/self/mem").open("rb", buffering=0) as memory:
                memory.seek(start)
                return memory.read(end - start)
    raise InputError("this machine has no vDSO")


def jit_table(image: Image, folder: Path = Path("/tmp")) -> FunctionTable:  # noqa: S108 - the convention
    """Functions that a JIT compiler listed in /tmp/perf-PID.map. InputError if it did not."""
    path = folder / f"perf-{image.pid}.map"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MAP_BYTES)
    except OSError as error:
        raise InputError(
            f"process {image.pid} ran code that no file holds and left no {path}",
            advice="start a JIT compiler with its perf support, e.g. node --perf-basic-prof",
        ) from error
    return parse_jit_map(data)


def parse_jit_map(data: bytes) -> FunctionTable:
    """Lines `start size name` in hexadecimal; what is no such line is passed over."""
    functions = [
        Function(match[3].decode("utf-8", "backslashreplace"), int(match[1], 16), int(match[2], 16))
        for match in JIT_LINE.finditer(data)
        if int(match[1], 16) + int(match[2], 16) < 1 << 64
    ]
    functions.reverse()  # code is moved and replaced: the last one to claim an address is right
    return table_of(functions)
