"""How often verdicts are wrong, on real runs: false alarms, and known slow-downs that are found.

    experiment_verdicts.py record FILE    run a benchmark over and over, keep what each run took
    experiment_verdicts.py replay FILE    many trials drawn from such a record
    experiment_verdicts.py real           trials that each make their own runs (slow)

Runs, blocks, looks and stops are those of `hakprof compare`. A slow-down is real: that arm does 1 %
or 2 % more iterations, and its whole time counts. A record holds three equal arms, so that any of
them may be the base, the base again, or the equal new one. A replayed trial takes consecutive
blocks from a random place, so drift and bursts stay as they were; trials that overlap are not
independent, which the intervals printed do not know. Trials that make their own runs are.
"""

import argparse
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hakprof import metrics
from hakprof.allocators import find_allocator
from hakprof.backends.timing import Timing
from hakprof.benchmarks import find_benchmark
from hakprof.compare import Judgement, Looks, judge
from hakprof.comparison import PARTS
from hakprof.contest import FIRST_LOOK
from hakprof.layout import VariedLayout
from hakprof.model import Absent, Arm
from hakprof.plan import Plan
from hakprof.runner import run_blocks
from hakprof.sequential import planned_looks
from hakprof.stats import FloatArray

EQUAL = ("equal 1", "equal 2", "equal 3")
SLOWER = {"1 % slower": 1.01, "2 % slower": 1.02}
TRIALS = 200
BLOCKS = 40

Times = dict[str, float]
"""What each arm took, ns."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one comparison said of its new arm, and after how many blocks."""

    judgement: Judgement
    blocks: int
    ended: bool  # settled, or no further look is planned
    seconds: float = 0.0  # of its own runs


def main() -> int:
    """Run the part that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("record", "replay", "real"))
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--benchmark", default="bench_tiny")
    parser.add_argument("--alloc", default="glibc")
    parser.add_argument("--seconds", type=float, default=150.0, help="of recording, or of trials")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="of a trial, at most")
    parser.add_argument("--runs-a-block", type=int, help="of each arm [the benchmark's own]")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.runs_a_block = options.runs_a_block or find_benchmark(options.benchmark)[0].runs_a_block
    if options.part == "real":
        report(real_trials(options), "real runs of its own for each trial")
        return 0
    if options.file is None:
        parser.error("record and replay need a FILE")
    if options.part == "record":
        ended = time.monotonic() + options.seconds
        runs = record(options, (*EQUAL, *SLOWER), options.seed)
        kept = list(itertools.takewhile(lambda _: time.monotonic() < ended, runs))
        options.file.write_text(json.dumps(kept))
        sys.stdout.write(f"{len(kept)} runs of {len(EQUAL) + len(SLOWER)} arms kept\n")
        return 0
    runs = json.loads(options.file.read_text())
    found = replayed_trials(list(blocks_of(runs, options.runs_a_block)), options)
    report(found, f"drawn from {len(runs)} recorded runs, {options.runs_a_block} a block")
    return 0


def record(options: argparse.Namespace, names: Sequence[str], seed: int) -> Iterator[Times]:
    """Interleaved real runs of each arm, without end, as the comparing commands make them."""
    benchmark, preset = find_benchmark(options.benchmark)
    parts = PARTS * benchmark.runs_a_block
    allocator = find_allocator(options.alloc)
    args = ["--warmup", str(benchmark.warmup_timed // parts)]
    arms = []
    for name in names:
        iters = round(benchmark.iters_timed // parts * SLOWER.get(name, 1.0))
        target = benchmark.target(preset=preset, iters=iters, threads=1, args=args)
        arms.append(Arm(name, target, allocator))
    plan = Plan(tuple(arms), runs=sys.maxsize, seed=seed)
    times: Times = {}
    for sample in run_blocks(plan, VariedLayout(Timing(), seed)):
        taken = metrics.facts_of(sample)["busy_ns"].value
        if sample.problem or isinstance(taken, Absent):
            raise SystemExit(f"{sample.arm}: {sample.problem or 'no time'}")
        if sample.index < 0:
            continue
        times[sample.arm] = taken
        if len(times) == len(names):
            yield times
            times = {}


def blocks_of(runs: Iterable[Times], runs_a_block: int) -> Iterator[Times]:
    """The median of so many runs of each arm, as `contest` has it; what is left over is dropped."""
    runs = iter(runs)
    while len(some := list(itertools.islice(runs, runs_a_block))) == runs_a_block:
        yield {arm: statistics.median(times[arm] for times in some) for arm in some[0]}


def hold(blocks: Sequence[Times], names: Sequence[str], most: int) -> Trial:
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


def column(blocks: Sequence[Times], name: str) -> FloatArray:
    """What one arm took, block by block."""
    return np.array([block[name] for block in blocks])


def replayed_trials(blocks: Sequence[Times], options: argparse.Namespace) -> dict[str, list[Trial]]:
    """Trials over windows of consecutive blocks; which equal run bears which name is drawn."""
    most = options.blocks
    if len(blocks) < most:
        raise SystemExit(f"{len(blocks)} blocks are too few, record {most} or more")
    chance = random.Random(options.seed)  # noqa: S311 (a draw of trials is no secret)
    found: dict[str, list[Trial]] = {"equal": [], **{name: [] for name in SLOWER}}
    for _ in range(options.trials):
        start = chance.randrange(len(blocks) - most + 1)
        window = []
        for block in blocks[start : start + most]:
            values = chance.sample([block[name] for name in EQUAL], len(EQUAL))
            window.append(block | dict(zip(EQUAL, values, strict=True)))
        for name, trials in found.items():
            trials.append(hold(window, (*EQUAL[:2], EQUAL[2] if name == "equal" else name), most))
    return found


def real_trials(options: argparse.Namespace) -> dict[str, list[Trial]]:
    """Trials of every kind in turn on runs of their own, as many as the time allows."""
    kinds = {"equal": EQUAL[2], **{name: name for name in SLOWER}}
    found: dict[str, list[Trial]] = {name: [] for name in kinds}
    ended = time.monotonic() + options.seconds
    for number in range(options.trials):
        for kind, new in kinds.items():
            if time.monotonic() > ended:
                return found
            found[kind].append(real_trial(options, (*EQUAL[:2], new), options.seed + number))
    return found


def real_trial(options: argparse.Namespace, names: Sequence[str], seed: int) -> Trial:
    """One comparison that runs until it is settled or all blocks are done."""
    started = time.monotonic()
    looks = planned_looks(FIRST_LOOK, options.blocks)
    blocks: list[Times] = []
    for block in blocks_of(record(options, names, seed), options.runs_a_block):
        blocks.append(block)
        if len(blocks) in looks and (trial := hold(blocks, names, options.blocks)).ended:
            break
    return Trial(trial.judgement, trial.blocks, trial.ended, time.monotonic() - started)


def report(found: dict[str, list[Trial]], source: str) -> None:
    """A line for each kind of trial: how many were called different, and how soon."""
    sys.stdout.write(f"{source}\n")
    for name, trials in found.items():
        said = sum(trial.judgement is not Judgement.NO_DIFFERENCE for trial in trials)
        right = sum(trial.judgement is Judgement.SLOWER for trial in trials)
        low, high = wilson(said, len(trials))
        blocks = statistics.fmean(trial.blocks for trial in trials)
        seconds = statistics.fmean(trial.seconds for trial in trials)
        sys.stdout.write(
            f"{name:>10}: called different in {said} of {len(trials)} trials "
            f"({100 * low:.1f} .. {100 * high:.1f} %), slower in {right}, "
            f"after {blocks:.1f} blocks on average" + (f", {seconds:.1f} s\n" if seconds else "\n")
        )


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """95 % score interval of a share."""
    share, extra = hits / trials, z * z / trials
    middle = share + extra / 2
    width = z * ((share * (1 - share) + extra / 4) / trials) ** 0.5
    return (middle - width) / (1 + extra), (middle + width) / (1 + extra)


if __name__ == "__main__":
    sys.exit(main())
