"""What is fuzzed of hakprof's parsers: name -> a function of the bytes of one file.

Each must return for every input, or raise InputError. `fuzz.py` drives them with atheris, the test
suite with the inputs that it found (corpus/NAME).
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hakprof import elf
from hakprof.errors import InputError
from hakprof.hotspots import callgrind_costs, stages, step_trace
from hakprof.perfdata.reader import read
from hakprof.perfdata.resolve import resolve
from hakprof.symbols import dwarf, special
from hakprof.symbols.elf_image import open_image
from hakprof.symbols.table import FunctionTable, function_table

PROBES = np.array([0, 1, 0x401000, 1 << 32, (1 << 63) + 16, (1 << 64) - 1], np.uint64)


def perfdata(data: bytes) -> None:
    """A whole perf.data file, each of its events."""
    with _file(data) as path:
        recording = read(path)
        for event in range(min(len(recording.header.events), 4)):
            with contextlib.suppress(InputError):
                resolve(recording, event)


def elf_image(data: bytes) -> None:
    """Symbols and facts of an ELF file."""
    with _file(data) as path:
        with contextlib.suppress(InputError):
            elf.read(path)
        image = open_image(path)
        image.offsets(image.addresses(PROBES))
        image.read_code(0x401000, 64)
        _look_up(function_table(image))


def dwarf_lines(data: bytes) -> None:
    """Debug information. Its reader may raise anything: it runs as a program of its own."""
    with _file(data) as path:
        try:
            dwarf.read_chains(path, [0x401000, 0x401010, 0x401020])
        except Exception as error:
            raise InputError("broken debug information") from error


def jit_map(data: bytes) -> None:
    """A /tmp/perf-PID.map."""
    _look_up(special.parse_jit_map(data))


def kallsyms(data: bytes) -> None:
    """/proc/kallsyms."""
    _look_up(FunctionTable(special.parse_kallsyms(data)))


def stage_map(data: bytes) -> None:
    """A map of an allocator's stages."""
    with _file(data) as path:
        stages.load(path).find("malloc", ())


def callgrind(data: bytes) -> None:
    """A callgrind.out file."""
    with _file(data) as path:
        callgrind_costs.read_callgrind(path)


def steps(data: bytes) -> None:
    """A trace of the stepper."""
    with _file(data) as path:
        step_trace.read_trace(path)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "perfdata": perfdata,
    "elf": elf_image,
    "dwarf": dwarf_lines,
    "jit_map": jit_map,
    "kallsyms": kallsyms,
    "stages": stage_map,
    "callgrind": callgrind,
    "steps": steps,
}


def _look_up(table: FunctionTable) -> None:
    for index in table.find(PROBES):
        if index >= 0:
            table.function(int(index))
    for _ in table.all():
        pass


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """A file in memory with these contents."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
