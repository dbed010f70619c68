"""Exact instruction counts by qemu-user and a plugin that counts blocks: the fastest emulator.

Threads run in parallel and each is counted on its own virtual processor. Children run natively and
are not counted. Code with AVX-512 does not run: qemu does not know it.
"""

import platform
import re
import signal
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hakprof import native
from hakprof.backends import launch, truth
from hakprof.errors import BackendError, TargetError
from hakprof.model import Absence, Absent, Availability, ExitKind, Job, Kind, Reading, Sample
from hakprof.preload import preloadable
from hakprof.process import Command, Outcome, find_program, run

COUNT = "count"
INSTALL = "apt-get install qemu-user"
TRUTH_TURNS = 100_000
ELF_MAGIC = b"\x7fELF"


class Qemu:
    """Every instruction, on qemu's emulated processor."""

    name = "qemu"
    kind = Kind.EXACT
    needs_roi = False
    first_ops = 400_000

    @cached_property
    def _program(self) -> Path | None:
        return find_program(f"qemu-{platform.machine()}")

    @cached_property
    def label(self) -> str:
        """`qemu-user 7.2, emulated CPU`."""
        answer = run(Command([str(self._program), "--version"], timeout_s=20))
        match = re.search(rb"version (\d+\.\d+)", answer.stdout)
        return f"qemu-user {match[1].decode() if match else '?'}, emulated CPU"

    def probe(self) -> Availability:
        """Look whether it is there, takes plugins, and counts a known loop right."""
        if self._program is None:
            why = f"qemu-{platform.machine()} is not installed"
            return Availability(usable=False, label="qemu-user", why=why, advice=INSTALL)
        options = run(Command([str(self._program), "-help"], timeout_s=20)).stdout
        if b"-plugin" not in options:
            why = f"{self._program} was built without plugins"
            return Availability(usable=False, label=self.label, why=why, advice=INSTALL)
        advice = "try another version of qemu-user"
        return truth.availability(self, TRUTH_TURNS, self.label, advice)

    def measure(self, job: Job) -> Sample:
        """One process under qemu; on a benchmark only its region of interest counts."""
        command = launch.command(job, more_pipes={COUNT: ""})
        wrapper = self._wrapper(job, ":".join(map(preloadable, command.preload)))
        program = _elf_program(job.target.argv[0])
        command = replace(
            command, argv=(program, *job.target.argv[1:]), wrapper=wrapper, preload=()
        )
        outcome = run(command)
        if outcome.exit.kind is ExitKind.SIGNAL and outcome.exit.number == signal.SIGILL:
            why = "AVX-512 code, or another instruction that qemu does not know"
            reading = self._reading(Absent(Absence.UNAVAILABLE, why), self.label)
            return launch.unavailable(job, self.name, outcome, reading)
        sample = launch.sample(job, self.name, outcome, ())
        if sample.problem:
            return sample
        return launch.with_readings(sample, [self._count(job, outcome)])

    def _wrapper(self, job: Job, libraries: str) -> tuple[str, ...]:
        plugin = preloadable(native.library("hakqemu"))
        # "max": the library then picks the same memory functions as on a processor of today.
        return (
            *(str(self._program), "-cpu", "max", "-0", job.target.argv[0]),
            *("-E", f"LD_PRELOAD={libraries}", "-plugin", f"{plugin},fd={{fd:{COUNT}}}"),
        )

    def _count(self, job: Job, outcome: Outcome) -> Reading:
        """The line of the process itself; children that only forked write lines of their own."""
        lines = [
            launch.parse_object(line, "the line of the qemu plugin")
            for line in outcome.pipes[COUNT].splitlines()
        ]
        own = next((line for line in lines if line.get("pid") == outcome.pid), None)
        if own is None:
            raise TargetError(
                f"{job.target.name}: qemu's plugin wrote no count",
                advice="the program may have closed its descriptors: use --backend callgrind",
            )
        if job.target.is_benchmark and own.get("roi") is not True:
            raise TargetError(
                f"{job.target.name}: qemu met no marks of a region of interest",
                advice="a benchmark must be built on core/bench/bench.h",
            )
        source = self.label
        if len(lines) > 1:
            source += launch.children_left_out(len(lines) - 1)
        return self._reading(float(own["instructions"] - own["rep_extra"]), source)

    def _reading(self, value: float | Absent, source: str) -> Reading:
        return Reading("instructions", value, "instructions", Kind.EXACT, source)


def _elf_program(name: str) -> str:
    """Path of the program: qemu searches no PATH and starts no scripts. Raises BackendError."""
    path = find_program(name)
    if path is None:
        return name  # run() says what is wrong with it
    with path.open("rb") as file:
        if file.read(len(ELF_MAGIC)) != ELF_MAGIC:
            raise BackendError(
                f"qemu cannot count {name}: it is no ELF program, but a script",
                advice="name the interpreter and the script, or use --backend callgrind",
            )
    return str(path)
