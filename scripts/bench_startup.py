"""What it costs a program to start with an allocator preloaded.

    .venv/bin/python scripts/bench_startup.py [--alloc NAME,...] [--spawns N] [-- PROGRAM ARGS...]

Without a program: `true`, `sh -c :` and `python3 -c pass`. Each is started N times on every arm, in
another random order each round:

  glibc    nothing preloaded: the base
  again    the same once more: what chance alone does
  empty    a library of one variable, made by the compiler found here: what preloading alone costs
  least    the same in two segments, without anything to run, look up or protect: the least possible
  NAME     an allocator, first proven to serve the program's calls (docs/proof.md)

Printed are the CPU time of a start (the median, as the kernel accounts for the child), how much
more than on the base with the 95 % interval over the rounds, the median of page faults, and the
peak RSS (of single runs under hakrun, for a child inherits that of the process that starts it).
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hakprof import native
from hakprof.allocators import find_allocator
from hakprof.errors import HakprofError
from hakprof.model import Verdict
from hakprof.proof import observe
from hakprof.stats import paired_ratio

PROGRAMS = (("true",), ("sh", "-c", ":"), ("python3", "-c", "pass"))
ALLOCATORS = "hakmem,mimalloc,jemalloc,tcmalloc"
WARM = 20
LEAST = ("-nostdlib", "-Wl,-z,noseparate-code,-z,norelro")

RSS_RUNS = 9

Samples = dict[str, list[tuple[float, int]]]
"""By arm: CPU microseconds and page faults."""


def main() -> int:
    """Run and print."""
    arguments = parse()
    programs = [tuple(arguments.program)] if arguments.program else PROGRAMS
    with tempfile.TemporaryDirectory() as folder:
        empty = empty_libraries(Path(folder))
        for number, program in enumerate(programs):
            path = shutil.which(program[0])
            if not path:
                raise SystemExit(f"bench_startup: there is no program {program[0]}")
            command = (path, *program[1:])
            arms = {"glibc": "", "again": "", **empty, **proven(arguments.alloc, command)}
            say("\n" * bool(number) + f"{' '.join(program)}, {arguments.spawns} starts an arm")
            samples = measure(command, arms, arguments.spawns)
            report(samples, {arm: peak_rss(command, library) for arm, library in arms.items()})
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alloc", default=ALLOCATORS, metavar="NAME,...", help="or paths")
    parser.add_argument("--spawns", type=int, default=2000, metavar="N", help="starts of an arm")
    parser.add_argument("program", nargs="*", metavar="PROGRAM")
    arguments = parser.parse_args()
    if arguments.spawns < WARM:
        parser.error(f"--spawns must be at least {WARM}")
    return arguments


def empty_libraries(folder: Path) -> dict[str, str]:
    """Made by the compiler; none if there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return {}
    source = folder / "empty.c"
    source.write_text("int variable;\n")
    made = {}
    for name, options in (("empty", ()), ("least", LEAST)):
        library = folder / f"{name}.so"
        command = (compiler, "-shared", "-fPIC", "-O2", *options, source, "-o", library)
        subprocess.run(command, check=True)  # noqa: S603 - a compiler from PATH
        made[name] = str(library)
    return made


def proven(names: str, command: Sequence[str]) -> dict[str, str]:
    """The library of each allocator that serves the program; what does not is not measured."""
    libraries = {}
    for name in names.split(","):
        allocator = find_allocator(name)
        proof, _ = observe(allocator, command, env={}, timeout_s=60)
        say(f"{name}: {proof.verdict.value}, {allocator.library}")
        if proof.verdict is Verdict.PROVEN and allocator.library:
            libraries[name] = str(allocator.library)
    return libraries


def measure(command: Sequence[str], arms: Mapping[str, str], spawns: int) -> Samples:
    """Start the program on every arm, round by round."""
    inherited = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    environments = {
        arm: {**inherited, **({"LD_PRELOAD": library} if library else {})}
        for arm, library in arms.items()
    }
    samples: Samples = {arm: [] for arm in arms}
    order = list(arms)
    chance = random.Random(1)  # noqa: S311 - reproducible, not secret
    for turn in range(WARM + spawns):
        chance.shuffle(order)
        for arm in order:
            sample = start(command, environments[arm])
            if turn >= WARM:
                samples[arm].append(sample)
    return samples


def start(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, int]:
    """CPU microseconds and page faults of one start."""
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    pid = os.posix_spawn(command[0], list(command), environment, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"bench_startup: {command[0]} ended with status {status}")
    return (usage.ru_utime + usage.ru_stime) * 1e6, usage.ru_minflt


def peak_rss(command: Sequence[str], library: str) -> float:
    """The median in KiB."""
    hakrun = str(native.program("hakrun"))
    peaks = []
    for _ in range(RSS_RUNS):
        read, write = os.pipe()
        preload = ("--preload", library) if library else ()
        account = (hakrun, *preload, "--account", str(write), "--", *command)
        subprocess.run(account, check=True, pass_fds=(write,))  # noqa: S603 - hakprof's own
        os.close(write)
        with os.fdopen(read) as line:
            peaks.append(json.load(line)["max_rss_bytes"] / 1024)
    return float(np.median(peaks))


def report(samples: Samples, rss: Mapping[str, float]) -> None:
    """One line an arm."""
    say(f"  {'':10} {'CPU time':>12} {'more than on glibc':>30} {'faults':>8} {'peak RSS':>12}")
    base = [time for time, _ in samples["glibc"]]
    for arm, rows in samples.items():
        times = [time for time, _ in rows]
        faults = np.median([count for _, count in rows])
        more = ""
        if arm != "glibc":
            ratio = paired_ratio(base, times)
            value, low, high = (100 * (one - 1) for one in (ratio.value, ratio.low, ratio.high))
            more = f"{value:+.2f} %  [{low:+.2f}, {high:+.2f}]"
        say(f"  {arm:10} {np.median(times):9.1f} us {more:>30} {faults:8.0f} {rss[arm]:8.0f} KiB")


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HakprofError as error:
        raise SystemExit(f"bench_startup: {error}") from None
