"""Another memory layout in every run, so that one lucky layout is not taken for a gain.

The kernel already randomises addresses. How long the environment is moves the stack, and with it
what shares cache sets and pages; measured differences of a few per cent have come from that alone
(Mytkowicz et al., 2009). Here it varies at random, and so is part of the noise that intervals show.
"""

import dataclasses
import random

from hakprof.model import Availability, CountingBackend, Job, Sample

PADDING_ENV = "HAKPROF_PADDING"
MOST_PADDING = 4096
"""One page: the stack's start is at any offset that its alignment allows."""


class VariedLayout:
    """A backend whose every run has its own length of environment."""

    def __init__(self, backend: CountingBackend, seed: int = 0) -> None:
        self._backend = backend
        self._seed = seed
        self.name = backend.name
        self.kind = backend.kind
        self.needs_roi = backend.needs_roi
        self.first_ops = backend.first_ops

    def probe(self) -> Availability:
        """The backend's own answer."""
        return self._backend.probe()

    def measure(self, job: Job) -> Sample:
        """Run the job with its padding, the same one for the same seed, arm and index."""
        chance = random.Random(f"{self._seed} {job.arm} {job.index}")  # noqa: S311 (no secret)
        padding = {PADDING_ENV: "x" * chance.randrange(MOST_PADDING)}
        target = dataclasses.replace(job.target, env={**job.target.env, **padding})
        return self._backend.measure(dataclasses.replace(job, target=target))
