"""How often verdicts are wrong, on real runs: false alarms, and known slow-downs that are found.

    experiment_verdicts.py record FILE    run a benchmark over and over, keep what each run took
    experiment_verdicts.py replay FILE    many trials drawn from such a record
    experiment_verdicts.py real           trials that each make their own runs (slow)

A slow-down is real: that arm does 1 % or 2 % more iterations, and its whole time counts. Three
equal arms run in each block, so that any of them may be the base, the base again, or the equal new
one. A replayed trial takes consecutive blocks from a random place, so drift and bursts stay as they
were; trials that overlap are not independent, which the intervals printed do not know.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hakprof import metrics
from hakprof.allocators import find_allocator
from hakprof.backends.timing import Timing
from hakprof.benchmarks import find_benchmark
from hakprof.compare import Judgement, Looks, judge
from hakprof.contest import FIRST_LOOK, MOST_BLOCKS
from hakprof.layout import VariedLayout
from hakprof.model import Absent, Arm
from hakprof.plan import Plan
from hakprof.runner import run_blocks
from hakprof.sequential import planned_looks
from hakprof.stats import FloatArray

EQUAL = ("equal 1", "equal 2", "equal 3")
SLOWER = {"1 % slower": 1.01, "2 % slower": 1.02}
TRIALS = 200

Blocks = Sequence[dict[str, float]]
"""What each arm took in each block, ns."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one comparison said of its new arm, and after how many blocks."""

    judgement: Judgement
    blocks: int
    ended: bool  # settled, or no further look is planned


def main() -> int:
    """Run the part that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("record", "replay", "real"))
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--benchmark", default="bench_tiny")
    parser.add_argument("--alloc", default="glibc")
    parser.add_argument("--iters", type=int, default=50_000)
    parser.add_argument("--warmup", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=150.0, help="of recording, or of trials")
    parser.add_argument("--blocks", type=int, default=MOST_BLOCKS, help="of a trial, at most")
    parser.add_argument("--trials", type=int, default=TRIALS)
    options = parser.parse_args()
    if options.part == "real":
        report(real_trials(options), "real runs of its own for each trial")
        return 0
    if options.file is None:
        parser.error("record and replay need a FILE")
    if options.part == "record":
        blocks = list(record(options, (*EQUAL, *SLOWER), options.seconds))
        options.file.write_text(json.dumps(blocks))
        sys.stdout.write(f"{len(blocks)} blocks of {len(EQUAL) + len(SLOWER)} runs kept\n")
        return 0
    blocks = json.loads(options.file.read_text())
    report(
        replayed_trials(blocks, options.trials, options.blocks),
        f"drawn from {len(blocks)} recorded blocks",
    )
    return 0


def record(
    options: argparse.Namespace, names: Sequence[str], seconds: float, seed: int = 0
) -> Iterator[dict[str, float]]:
    """Interleaved blocks of real runs, layouts varied, as the comparing commands make them."""
    benchmark, preset = find_benchmark(options.benchmark)
    allocator = find_allocator(options.alloc)
    arms = []
    for name in names:
        iters = round(options.iters * SLOWER.get(name, 1.0))
        args = ["--warmup", str(options.warmup)]
        target = benchmark.target(preset=preset, iters=iters, threads=1, args=args)
        arms.append(Arm(name, target, allocator))
    plan = Plan(tuple(arms), runs=1_000_000, seed=seed)
    ended = time.monotonic() + seconds
    block: dict[str, float] = {}
    for sample in run_blocks(plan, VariedLayout(Timing(), seed)):
        taken = metrics.facts_of(sample)["busy_ns"].value
        if sample.problem or isinstance(taken, Absent):
            raise SystemExit(f"{sample.arm}: {sample.problem or 'no time'}")
        if sample.index < 0:
            continue
        block[sample.arm] = taken
        if len(block) == len(names):
            yield block
            block = {}
            if time.monotonic() > ended:
                return


def hold(blocks: Blocks, names: Sequence[str], most: int) -> Trial:
    """One comparison of (base, again, new) with its looks, as the commands stop it."""
    base, again, new = names
    looks = [count for count in planned_looks(FIRST_LOOK, most) if count <= len(blocks)]
    for i, count in enumerate(looks, 1):
        costs = {name: column(blocks[:count], name) for name in (base, new)}
        seen = Looks(tuple(looks[:i]), most)
        verdicts = judge(base, column(blocks[:count], again), costs, seen)
        if verdicts.settled:
            break
    return Trial(verdicts.arms[0].judgement, count, verdicts.settled or count == most)


def column(blocks: Blocks, name: str) -> FloatArray:
    """What one arm took, block by block."""
    return np.array([block[name] for block in blocks])


def replayed_trials(blocks: Blocks, trials: int, most: int) -> dict[str, list[Trial]]:
    """Trials over windows of consecutive blocks; which equal run bears which name is drawn."""
    if len(blocks) < most:
        raise SystemExit(f"{len(blocks)} blocks are too few, record {most} or more")
    chance = random.Random(1)  # noqa: S311 (a draw of trials is no secret)
    found: dict[str, list[Trial]] = {"equal": [], **{name: [] for name in SLOWER}}
    for _ in range(trials):
        start = chance.randrange(len(blocks) - most + 1)
        window = []
        for block in blocks[start : start + most]:
            values = chance.sample([block[name] for name in EQUAL], len(EQUAL))
            window.append(block | dict(zip(EQUAL, values, strict=True)))
        for name, trials_of in found.items():
            new = EQUAL[2] if name == "equal" else name
            trials_of.append(hold(window, (*EQUAL[:2], new), most))
    return found


def real_trials(options: argparse.Namespace) -> dict[str, list[Trial]]:
    """A/A trials on runs of their own, as many as the time allows."""
    found: list[Trial] = []
    looks = planned_looks(FIRST_LOOK, options.blocks)
    ended = time.monotonic() + options.seconds
    while len(found) < options.trials and time.monotonic() < ended:
        blocks: list[dict[str, float]] = []
        for block in record(options, EQUAL, 1e9, seed=len(found)):
            blocks.append(block)
            if len(blocks) not in looks:
                continue
            trial = hold(blocks, EQUAL, options.blocks)
            if trial.ended:
                found.append(trial)
                break
    return {"equal": found}


def report(found: dict[str, list[Trial]], source: str) -> None:
    """A line for each kind of trial: how many were called different, and how soon."""
    sys.stdout.write(f"{source}\n")
    for name, trials in found.items():
        said = sum(trial.judgement is not Judgement.NO_DIFFERENCE for trial in trials)
        right = sum(trial.judgement is Judgement.SLOWER for trial in trials)
        low, high = wilson(said, len(trials))
        blocks = np.mean([trial.blocks for trial in trials])
        sys.stdout.write(
            f"{name:>10}: called different in {said} of {len(trials)} trials "
            f"({100 * low:.1f} .. {100 * high:.1f} %), slower in {right}, "
            f"after {blocks:.1f} blocks on average\n"
        )


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """95 % score interval of a share."""
    share, extra = hits / trials, z * z / trials
    middle = share + extra / 2
    width = z * ((share * (1 - share) + extra / 4) / trials) ** 0.5
    return (middle - width) / (1 + extra), (middle + width) / (1 + extra)


if __name__ == "__main__":
    sys.exit(main())
