"""Samples by `perf record`: a precise cycles event where there is one, else the clock, called time.

Without hardware counters perf records cpu-clock when it is asked for cycles, and says nothing. So
the event is chosen here, and what was recorded is read back from the file, never assumed.
"""

import os
from collections.abc import Callable
from pathlib import Path

from hakprof.backends import launch, perf_event
from hakprof.backends.perf_tool import INSTALL, PerfTool, control, find_perf
from hakprof.backends.recorder import CALL_GRAPH, FREQUENCY
from hakprof.environment import Machine, read_machine
from hakprof.errors import BackendError
from hakprof.model import Availability, Job, Kind, Sample
from hakprof.process import run

HARDWARE_EVENT = "cycles:P"  # as precise as the processor can
TIME_EVENT = "cpu-clock"
PARANOID_USER_ONLY = 2


class PerfRecord:
    """perf's own recorder."""

    name = "perf"
    kind = Kind.SAMPLED
    needs_roi = False

    def __init__(
        self,
        find: Callable[[], PerfTool] = find_perf,
        attempt: Callable[[], perf_event.Attempt] = perf_event.attempt,
        machine: Callable[[], Machine] = read_machine,
    ) -> None:
        self._find, self._attempt, self._machine = find, attempt, machine

    def probe(self) -> Availability:
        """Whether there is a perf that runs, and whether the kernel lets it sample."""
        try:
            tool = self._find()
        except BackendError as error:
            return Availability(
                usable=False, label="perf record", why=error.message, advice=error.advice
            )
        tried = self._attempt()
        if tried.software:
            why, advice = perf_event.why_not(tried, self._machine())
            return Availability(usable=False, label="perf record", why=why, advice=advice)
        if not tool.has_control:
            why = f"{tool.label} cannot be switched on for a region alone; 5.10 can"
            return Availability(usable=False, label="perf record", why=why, advice=INSTALL)
        return Availability(usable=True, label=f"{tool.label}, {self.event()}")

    def event(self) -> str:
        """What is sampled on this machine."""
        tried = self._attempt()
        name = TIME_EVENT if tried.hardware else HARDWARE_EVENT
        if not sees_kernel(self._machine()):
            name += "u" if ":" in name else ":u"
        return name

    def record(self, job: Job, path: Path) -> Sample:
        """One process under perf; on a benchmark only its region of interest is sampled."""
        tool = self._find()
        with control(active=job.target.is_benchmark) as (options, env, descriptors):
            graph = ("--call-graph", job.options[CALL_GRAPH]) if CALL_GRAPH in job.options else ()
            outcome = run(
                launch.command(
                    job,
                    wrapper=(
                        *(str(tool.path), "record", "-q", "-N", "-o", str(path)),
                        *("-e", self.event(), "-F", job.options[FREQUENCY], *graph),
                        *(*options, "--"),
                    ),
                    env={"LC_ALL": "C", **env},
                    pass_fds=descriptors,
                )
            )
        return launch.sample(job, self.name, outcome, ())


def sees_kernel(machine: Machine) -> bool:
    """Whether this user may sample the kernel."""
    level = machine.perf_event_paranoid
    return os.geteuid() == 0 or (level is not None and level < PARANOID_USER_ONLY)
