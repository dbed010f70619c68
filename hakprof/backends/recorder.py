"""What a source of hotspots is: it runs a job once and leaves a file behind.

Counting backends give numbers (`model.CountingBackend`); recorders give a file that knows where:
perf.data, a callgrind output, a trace of the stepper. `recordings` reads it.
"""

from pathlib import Path
from typing import Protocol

from hakprof.model import Availability, Job, Kind, Sample

FREQUENCY = "frequency"
CALL_GRAPH = "call-graph"
"""Job options: samples per second; "fp" to keep call stacks."""


class Recorder(Protocol):
    """One file in `backends/` provides one."""

    name: str
    kind: Kind
    needs_roi: bool

    def probe(self) -> Availability:
        """Look at the machine, cheaply and without side effects."""
        ...

    def record(self, job: Job, path: Path) -> Sample:
        """Run the job once and write `path`. Raises only `errors.HakprofError`."""
        ...
