"""One measurement from plan to samples: timed blocks, then counts, each sample kept as it comes.

Ctrl-C ends the phase that it meets and skips those after it; what was measured stays.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hakprof import census, figures, metrics, proof
from hakprof.census import Census
from hakprof.errors import TargetError
from hakprof.metrics import METRICS
from hakprof.model import Absent, Arm, CountingBackend, Kind, Proof, Reading, Sample, Target
from hakprof.plan import Plan, harness_of
from hakprof.runner import run_blocks, run_lengths, run_one
from hakprof.store import Keeper

COUNTED_BLOCKS = 5
"""Hardware counts vary little from run to run."""

Tell = Callable[[str, float], None]
"""Told which phase runs and how much of it is done, 0..1."""

Enough = Callable[[int, float], bool]
"""Asked after each block, with the number of blocks and the seconds that they took."""

TIMING = "timing"
"""The backend whose failure is the program's own; under the others it may fail for theirs."""

WORD_SLACK = 1e-3
"""A benchmark may claim so much more than a census sees: threads may differ by a call or two."""

INSTRUCTIONS = next(metric for metric in METRICS if metric.name == "instructions_per_op")


@dataclass(slots=True)
class Measurement:
    """The samples of one command so far. `keeper` stores each; `tell` hears of the progress."""

    plan: Plan
    keeper: Keeper
    tell: Tell
    samples: dict[str, list[Sample]] = field(default_factory=dict)  # by arm, as they were made
    census: Census | None = None  # what the program asks for, if that was looked at
    proofs: dict[str, list[Proof]] = field(default_factory=dict)  # by arm, beside the samples'
    doubt: str = ""  # what contradicts the program's own word
    interrupted: bool = False

    @property
    def calls(self) -> tuple[Reading, ...]:
        """The census's counts, which go with every run of the program like its own word would."""
        found = self.census.readings() if self.census else ()
        return tuple(replace(reading, kind=Kind.REPORTED) for reading in found)

    @property
    def processes(self) -> int:
        """How many processes a run of the program has, as far as a census saw."""
        return self.census.processes if self.census else 1

    def take_census(self) -> None:
        """One run of the program that counts its calls and sizes, and is not timed. Only once."""
        if self.census is None and self._whole() and not self.interrupted:
            self.tell("counting its calls", 0.0)
            self.census = self.census_of(self.plan.arms[0].target)

    def observe(self) -> None:
        """One run of each arm that sees every process a program starts, and is not timed."""
        if self.interrupted:
            return
        with self._phase():
            for number, arm in enumerate(arms := self._whole()):
                self.tell("looking who serves the calls", number / len(arms))
                env = arm.target.env
                seen, _ = proof.observe(
                    arm.allocator, arm.target.argv, env=env, timeout_s=self.plan.timeout_s
                )
                self.proofs.setdefault(arm.name, []).append(seen)

    def question(self, target: Target, backend: CountingBackend) -> None:
        """Hold what a benchmark says of its calls against a census of the same run.

        `target` is what `backend` counted first. The census sees the warm-up as well: only a
        claim of more calls than were made shows.
        """
        word = next((s.report for s in self._all() if _first_of(s, backend)), None)
        seen = self.census_of(target) if word else None
        if word and seen and not seen.problem and word.ops > seen.ops * (1 + WORD_SLACK):
            self.doubt = (
                f"{target.name} claims {word.ops:,} ops, but makes {seen.ops:,} calls in all"
            )

    def time(
        self, backend: CountingBackend, plan: Plan | None = None, enough: Enough | None = None
    ) -> None:
        """The timed blocks of all arms, those of another plan if one is given."""
        plan = plan or self.plan
        started = time.monotonic()
        with self._phase():
            for sample in run_blocks(plan, backend, enough):
                self._take(sample, plan)
                spent_s = time.monotonic() - started
                self.tell("timing", plan.share_done(max(sample.index + 1, 0), spent_s))

    def once(self, backend: CountingBackend) -> None:
        """One run of each arm under a backend that is not timed, if it works here."""
        if self.interrupted or not backend.probe().usable:
            return
        with self._phase():
            for number, arm in enumerate(arms := self._whole()):
                self.tell(f"running under {backend.name}", number / len(arms))
                self._take(run_one(backend, self.plan.job(arm, 0)))

    def count(self, backend: CountingBackend, lengths: Sequence[Target]) -> str:
        """Instructions, and what else the backend counts; why it could not, "" if it could.

        Arms whose timed runs failed are left out.
        """
        before = {name: len(samples) for name, samples in self.samples.items()}
        with self._phase():
            if backend.kind is Kind.COUNTED:
                self._count_blocks(backend)
            else:
                self._count_lengths(backend, lengths)
        made = (s for name, all_ in self.samples.items() for s in all_[before.get(name, 0) :])
        return next((f"{s.arm}: {why}" for s in made if (why := no_count(s))), "")

    def of(self, arm: Arm) -> tuple[Sample, ...]:
        """The samples of an arm in the order in which they were made."""
        return tuple(self.samples.get(arm.name, ()))

    def proof_of(self, arm: Arm) -> Proof | None:
        """Who served the arm's calls, by all of its runs; None if none left a trace."""
        seen = [s.proof for s in self.of(arm) if s.proof] + self.proofs.get(arm.name, [])
        return proof.combine(seen) if seen else None

    def _all(self) -> Iterator[Sample]:
        return (sample for samples in self.samples.values() for sample in samples)

    def census_of(self, target: Target) -> Census | None:
        """One run of a target under the census; None where it cannot run or was broken off."""
        if self.interrupted:
            return None
        with self._phase(), contextlib.suppress(TargetError):
            return census.take(target.argv, env=target.env, timeout_s=self.plan.timeout_s)
        return None

    def _count_blocks(self, backend: CountingBackend) -> None:
        runs = min(self.plan.runs or COUNTED_BLOCKS, COUNTED_BLOCKS)
        plan = replace(self.plan, arms=self._whole(), runs=runs)
        for sample in run_blocks(plan, backend):
            self._take(sample)
            self.tell(f"counting with {backend.name}", plan.share_done(max(sample.index, 0), 0))

    def _count_lengths(self, backend: CountingBackend, lengths: Sequence[Target]) -> None:
        """Each arm at growing lengths; ends at the first run that the backend cannot count."""
        arms = self._whole()
        for number, arm in enumerate(arms):
            self.tell(f"counting with {backend.name}", number / len(arms))
            targets = [harness_of(t) for t in lengths] if arm.harness_only else lengths
            for sample in run_lengths(self.plan, arm, backend, targets, self._steady):
                self._take(sample)
                if no_count(sample):
                    return

    def _steady(self, samples: Sequence[Sample]) -> bool:
        runs = {(s.backend, s.index): metrics.facts_of(s, self.calls) for s in samples}
        return figures.steady(INSTRUCTIONS, runs)

    def _whole(self) -> tuple[Arm, ...]:
        """The arms whose own program has not failed, whatever became of it under a tool."""
        broken = {s.arm for s in self._all() if s.problem and s.backend == TIMING}
        return tuple(arm for arm in self.plan.arms if arm.name not in broken)

    def _take(self, sample: Sample, plan: Plan | None = None) -> None:
        arms = (plan or self.plan).arms
        arm = next(arm for arm in arms if arm.name == sample.arm)
        if not arm.harness_only and sample.audit is not None and _ran(sample):
            sample = replace(sample, proof=judge(arm, sample))
        self.samples.setdefault(sample.arm, []).append(sample)
        self.keeper.keep(sample)

    @contextlib.contextmanager
    def _phase(self) -> Iterator[None]:
        """Ctrl-C ends the phase and is remembered."""
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True


def _ran(sample: Sample) -> bool:
    """The program ran to its end; a tool that failed on it says nothing about the program."""
    return not sample.problem and any(not isinstance(r.value, Absent) for r in sample.readings)


def _first_of(sample: Sample, backend: CountingBackend) -> bool:
    return sample.backend == backend.name and sample.index == 0 and sample.report is not None


def judge(arm: Arm, sample: Sample) -> Proof:
    """Who served the calls of one run, by what its audit wrote."""
    return proof.judge(
        proof.Observed(
            allocator=arm.allocator,
            program=Path(arm.target.argv[0]),
            exit=sample.exit,
            audit=(sample.audit or "").encode(errors="surrogateescape"),
        )
    )


def no_count(sample: Sample) -> str:
    """Why this run gave no count of instructions, "" if it gave one."""
    if sample.problem:
        return sample.problem
    value = next((r.value for r in sample.readings if r.name == "instructions"), None)
    if value is None:
        return "it gave no count"
    return (value.why or str(value.reason)) if isinstance(value, Absent) else ""
