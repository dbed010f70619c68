"""Exact sources of hotspots: callgrind's count of every address, and the stepper's trace."""

import tempfile
from pathlib import Path

from hakprof import native
from hakprof.backends import launch
from hakprof.backends.callgrind import INSTALL, LOG, check_room, common_options, unknown_instruction
from hakprof.backends.stepper import COUNT, COUNT_FD_ENV, Stepper
from hakprof.errors import BackendError, TargetError
from hakprof.model import Availability, Job, Kind, Sample
from hakprof.process import find_program, run

TRACE_ENV = "HAKSTEP_TRACE"
TOTALS, TOTALS_WITHIN = b"totals:", 1000
"""What a whole file of callgrind's ends with, and how near to its end."""


class CallgrindRecord:
    """Instructions at every address, on valgrind's emulated processor."""

    name = "callgrind"
    kind = Kind.EXACT
    needs_roi = False

    def probe(self) -> Availability:
        """Whether valgrind is installed."""
        if find_program("valgrind") is None:
            why = "valgrind is not installed"
            return Availability(usable=False, label="callgrind", why=why, advice=INSTALL)
        return Availability(usable=True, label="callgrind, emulated CPU")

    def record(self, job: Job, path: Path) -> Sample:
        """One process under callgrind; on a benchmark only its region of interest counts."""
        with tempfile.TemporaryDirectory(prefix="hakprof-callgrind-") as folder:
            only_roi = ("--toggle-collect=bench_roi",) if job.target.is_benchmark else ()
            outcome = run(
                launch.command(
                    job,
                    wrapper=(
                        *("valgrind", *common_options(folder), "--dump-instr=yes"),
                        *("--collect-jumps=yes", "--compress-pos=no", *only_roi),
                    ),
                    more_pipes={LOG: ""},
                )
            )
            if not outcome.exit.ok:
                check_room(folder)
            if unknown := unknown_instruction(outcome.pipes[LOG]):
                raise BackendError(f"callgrind cannot run {job.target.name}: {unknown}")
            written = Path(folder) / str(outcome.pid)
            if outcome.exit.ok:
                if not written.exists():
                    raise TargetError(f"{job.target.name}: callgrind wrote no costs")
                costs = written.read_bytes()
                if TOTALS not in costs[-TOTALS_WITHIN:]:
                    check_room(folder)
                path.write_bytes(costs)
        return launch.sample(job, self.name, outcome, ())


class StepRecord:
    """Every instruction of the region of interest, in order, on this machine's own processor."""

    name = "stepper"
    kind = Kind.EXACT
    needs_roi = True

    def probe(self) -> Availability:
        """As of the counting stepper."""
        return Stepper().probe()

    def record(self, job: Job, path: Path) -> Sample:
        """One process, stepped."""
        outcome = run(
            launch.command(
                job,
                tools=(native.library("hakstep"),),
                env={TRACE_ENV: str(path)},
                more_pipes={COUNT: COUNT_FD_ENV},
            )
        )
        sample = launch.sample(job, self.name, outcome, ())
        if not sample.problem and not path.exists():
            raise TargetError(
                f"{job.target.name}: the stepper wrote no trace",
                advice="static and setuid programs ignore LD_PRELOAD",
            )
        return sample
