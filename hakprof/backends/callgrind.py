"""Exact instruction counts by valgrind's callgrind; simulated cache and branch misses on request.

Threads run one at a time under valgrind, so contention does not show. Code with AVX-512 does not
run at all: valgrind does not know it.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from hakprof import native
from hakprof.backends import launch, truth
from hakprof.backends.callgrind_output import Totals, parse
from hakprof.environment import Cache, Machine, read_machine
from hakprof.errors import InputError, StoreError, TargetError
from hakprof.model import Absence, Absent, Availability, Job, Kind, Reading, Sample
from hakprof.process import PATIENCE_S, Command, Outcome, find_program, run
from hakprof.schema import Schema, load
from hakprof.units import show_bytes

LOG = "valgrind log"
SIMULATE = "simulate"
"""Job option: "cache", "branch" or "cache,branch"."""

INSTALL = "apt-get install valgrind"
TRUTH_TURNS = 20_000
FULL_BYTES = 64 << 10
"""With less than this left, a disk is as good as full."""

EVEX_PREFIX = "0x62"
"""first byte of every AVX-512 instruction in 64-bit code"""


class Callgrind:
    """Every instruction, on valgrind's emulated processor."""

    name = "callgrind"
    kind = Kind.EXACT
    needs_roi = False
    first_ops = 100_000

    def __init__(self, machine: Callable[[], Machine] = read_machine) -> None:
        self._read_machine = machine

    @cached_property
    def _machine(self) -> Machine:
        return self._read_machine()

    @cached_property
    def _schema(self) -> Schema:
        return load(native.counter_schema("valgrind"))

    @cached_property
    def label(self) -> str:
        """`callgrind 3.19, emulated CPU`."""
        answer = run(Command(["valgrind", "--version"], timeout_s=PATIENCE_S))
        match = re.search(rb"valgrind-(\d+\.\d+)", answer.stdout)
        return f"callgrind {match[1].decode() if match else '?'}, emulated CPU"

    def probe(self) -> Availability:
        """Look whether it is there, starts, and counts a known loop right."""
        if find_program("valgrind") is None:
            why = "valgrind is not installed"
            return Availability(usable=False, label="callgrind", why=why, advice=INSTALL)
        advice = "try another version of valgrind"
        return truth.availability(self, TRUTH_TURNS, self.label, advice)

    def measure(self, job: Job) -> Sample:
        """One process under callgrind; on a benchmark only its region of interest counts."""
        simulate = job.options.get(SIMULATE, "")
        with tempfile.TemporaryDirectory(prefix="hakprof-callgrind-") as folder:
            wrapper = ("valgrind", *self._options(job, folder, simulate))
            outcome = run(launch.command(job, wrapper=wrapper, more_pipes={LOG: ""}))
            if not outcome.exit.ok:
                check_room(folder)
            if unknown := unknown_instruction(outcome.pipes[LOG]):
                return launch.unavailable(job, self.name, outcome, self._absent(unknown))
            readings: list[Reading] = []
            if outcome.exit.ok:
                readings = self._readings(job, outcome, Path(folder), simulate)
        return launch.sample(job, self.name, outcome, readings)

    def _options(self, job: Job, folder: str, simulate: str) -> Iterator[str]:
        yield from common_options(folder)
        # Jumps between single instructions show how often REP-prefixed ones repeated.
        yield from ("--dump-instr=yes", "--collect-jumps=yes", "--compress-pos=no")
        if job.target.is_benchmark:
            yield "--toggle-collect=bench_roi"
        if "branch" in simulate:
            yield "--branch-sim=yes"
        if "cache" in simulate:
            yield "--cache-sim=yes"
            for option, level, kind in (
                ("I1", 1, "Instruction"),
                ("D1", 1, "Data"),
                ("LL", 2, "Data"),  # a guest's last level is the host's: meaningless here
            ):
                if geometry := _geometry(self._machine.cache(level, kind)):
                    yield f"--{option}={geometry}"

    def _readings(self, job: Job, outcome: Outcome, folder: Path, simulate: str) -> list[Reading]:
        files = [path for path in folder.iterdir() if path.name.isdigit()]
        try:
            with (folder / str(outcome.pid)).open(errors="replace") as lines:
                totals = parse(lines)
        except (OSError, InputError) as error:
            check_room(folder)
            raise TargetError(f"{job.target.name}: callgrind gave no count: {error}") from error
        source = self.label
        if len(files) > 1:
            source += launch.children_left_out(len(files) - 1)
        return [self._reading(name, totals, source, simulate) for name in self._schema.counters]

    def _reading(self, name: str, totals: Totals, source: str, simulate: str) -> Reading:
        counter = self._schema.counters[name]
        if name == "instructions":
            value = float(totals.instructions)
            return Reading(name, value, counter.unit, Kind.EXACT, source)
        needs = str(counter.extra["simulation"])
        count = totals.events.get(str(counter.extra["event"])) if needs in simulate else None
        if count is None:
            absent = Absent(Absence.MISSING, f"counted with --simulate {needs}")
            return Reading(name, absent, counter.unit, Kind.SIMULATED, source)
        model = self._cache_model() if needs == "cache" else "simple predictor, an upper bound"
        return Reading(name, float(count), counter.unit, Kind.SIMULATED, f"{source}, {model}")

    def _cache_model(self) -> str:
        caches = (self._machine.cache(1, "Data"), self._machine.cache(2, "Data"))
        sizes = [f"{c.size_bytes >> 10} KiB {c.ways}-way" for c in caches if _geometry(c) and c]
        return "caches of " + " and ".join(sizes) if sizes else "caches of valgrind's choice"

    def _absent(self, why: str) -> Reading:
        absent = Absent(Absence.UNAVAILABLE, why)
        return Reading("instructions", absent, "instructions", Kind.EXACT, self.label)


def common_options(folder: str | Path) -> tuple[str, ...]:
    """Every program image writes one file there; no debugger is waited for."""
    return (
        *("--tool=callgrind", "--trace-children=yes", "--vgdb=no"),
        *(f"--log-fd={{fd:{LOG}}}", f"--callgrind-out-file={folder}/%p"),
    )


def check_room(folder: str | Path) -> None:
    """StoreError if the disk is full: valgrind ends without a word then, or leaves half a file."""
    left = shutil.disk_usage(folder).free
    if left < FULL_BYTES:
        where = Path(folder).parent
        raise StoreError(
            f"{where}: no space left for callgrind's files ({show_bytes(left)} free)",
            advice="free space, or name another folder with TMPDIR",
        )


def unknown_instruction(log: bytes) -> str:
    """Why valgrind could not go on, if it met an instruction that it does not know; else ""."""
    match = re.search(r"unhandled instruction bytes: ((?:0x[0-9A-F]{2} ?)+)", log.decode("latin-1"))
    if not match:
        return ""
    code = match[1].split()
    if EVEX_PREFIX in code[:2]:
        return "AVX-512 code, which valgrind does not know"
    return f"an instruction that valgrind does not know ({' '.join(code[:4])} ...)"


def _geometry(cache: Cache | None) -> str:
    """`SIZE,WAYS,LINE`; "" if there is no such cache or valgrind cannot model it."""
    if cache is None:
        return ""
    sets, rest = divmod(cache.size_bytes, cache.ways * cache.line_bytes)
    if rest or sets & (sets - 1) or cache.line_bytes & (cache.line_bytes - 1):
        return ""
    return f"{cache.size_bytes},{cache.ways},{cache.line_bytes}"
