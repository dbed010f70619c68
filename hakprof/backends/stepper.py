"""Exact instruction counts by single-stepping the region of interest on the bare processor.

Needs no tool but hakprof's own preloaded library (libhakstep.so: trap flag and a signal handler),
runs any instruction the processor has, and takes some 10 us a step: a few thousand ops.
"""

from hakprof import native
from hakprof.backends import launch, truth
from hakprof.errors import BackendError, TargetError
from hakprof.model import Absence, Absent, Availability, Job, Kind, Reading, Sample
from hakprof.process import Outcome, run

COUNT = "count"
COUNT_FD_ENV = "HAKSTEP_FD"
TRUTH_TURNS = 500


class Stepper:
    """Every instruction, on this machine's own processor."""

    name = "stepper"
    kind = Kind.EXACT
    needs_roi = True
    first_ops = 2000
    label = "single steps, native CPU"

    def probe(self) -> Availability:
        """Look whether stepping works here (some sandboxes swallow the trap) and counts right."""
        advice = "install qemu-user or valgrind instead"
        return truth.availability(self, TRUTH_TURNS, self.label, advice)

    def measure(self, job: Job) -> Sample:
        """One process whose region of interest is stepped; the time it takes says nothing."""
        if not job.target.is_benchmark:
            raise BackendError(
                f"the stepper cannot count {job.target.name}: it has no region of interest",
                advice="use --backend qemu or --backend callgrind",
            )
        command = launch.command(
            job, tools=(native.library("hakstep"),), more_pipes={COUNT: COUNT_FD_ENV}
        )
        outcome = run(command)
        sample = launch.sample(job, self.name, outcome, ())
        if sample.problem or sample.report is None:
            return sample
        if sample.report.threads > 1:
            why = Absent(Absence.UNAVAILABLE, "the stepper follows one thread, not several")
            return launch.with_readings(sample, [self._reading(why)])
        return launch.with_readings(sample, [self._reading(self._count(job, outcome))])

    def _count(self, job: Job, outcome: Outcome) -> float:
        line = outcome.pipes[COUNT]
        if not line:
            raise TargetError(
                f"{job.target.name}: the stepper wrote no count",
                advice="static and setuid programs ignore LD_PRELOAD",
            )
        count = launch.parse_object(line, "the line of the stepper")
        if "error" in count:
            raise TargetError(f"{job.target.name}: the stepper failed: {count['error']}")
        return float(count["instructions"])

    def _reading(self, value: float | Absent) -> Reading:
        return Reading("instructions", value, "instructions", Kind.EXACT, self.label)
