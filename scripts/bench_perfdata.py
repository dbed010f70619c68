"""How fast a perf.data file of a million samples becomes shares by function: hakprof against perf.

    .venv/bin/python scripts/bench_perfdata.py [SAMPLES]

Records one sample a page fault of a program that touches memory from several functions, with and
without call chains, then runs `perf script`, `perf report` and hakprof's reader on the same files,
interleaved, each in a process of its own. Prints medians of the wall time and the peak memory.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
PAGE = 4096
CHUNK = 64 << 20

PROGRAM = f"""
import mmap, struct, sys
left = int(sys.argv[1])
area = mmap.mmap(-1, {CHUNK})
zeros = bytes({PAGE})
def by_index(at): area[at] = 1
def by_slice(at): area[at:at + {PAGE}] = zeros
def by_write(at): area.seek(at); area.write_byte(1)
def by_pack(at): struct.pack_into("Q", area, at, 1)
ways = (by_index, by_slice, by_write, by_pack)
while left > 0:
    for i, at in enumerate(range(0, {CHUNK}, {PAGE})):
        ways[i & 3](at)
    left -= {CHUNK} // {PAGE}
    area.madvise(mmap.MADV_DONTNEED)
"""

OURS = """
import sys, time
from pathlib import Path
started = time.perf_counter()
import numpy as np
from hakprof.perfdata.reader import read
from hakprof.perfdata.resolve import resolve
from hakprof.symbols.naming import name_profile
imported = time.perf_counter()
profile = resolve(read(Path(sys.argv[1])))
names = name_profile(profile)
shares = np.bincount(names.function, profile.weight) / profile.total
for i in np.argsort(-shares):
    one = names.functions[i]
    print(f"{100 * shares[i]:.2f} {one.library} {one.name}")
sys.stderr.write(f"{time.perf_counter() - imported:.4f} {int(profile.samples.sum())}\\n")
"""


def main() -> int:
    """Record, measure, print."""
    if shutil.which("perf") is None:
        sys.stderr.write("perf is not installed\n")
        return 69
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        for title, options in (("no call chains", []), ("call chains", ["-g"])):
            path = Path(folder) / f"{title.replace(' ', '-')}.data"
            record(path, samples, options)
            compare(title, path)
    return 0


def record(path: Path, samples: int, options: list[str]) -> None:
    """One sample for each page fault in user mode."""
    event = ["-e", "page-faults:u", "-c", "1"]
    command = ["perf", "record", "-q", "-N", *event, *options, "-o", str(path), "--"]
    run([*command, sys.executable, "-c", PROGRAM, str(samples)])


def compare(title: str, path: Path) -> None:
    """Time all three, interleaved."""
    commands = {
        "perf script": ["perf", "script", "-i", str(path)],
        "perf report": ["perf", "report", "-i", str(path), "--stdio", "-g", "none"],
        "hakprof": [sys.executable, "-c", OURS, str(path)],
    }
    times: dict[str, list[float]] = {name: [] for name in (*commands, "hakprof, work alone")}
    memory: dict[str, int] = {}
    seen = ""
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds, peak, said = run(command)
            times[name].append(seconds)
            memory[name] = max(peak, memory.get(name, 0))
            if name == "hakprof":
                work, seen = said.split()
                times["hakprof, work alone"].append(float(work))
    medians = {name: statistics.median(all_) for name, all_ in times.items()}
    sys.stdout.write(f"{title}: {int(seen):,} samples, {path.stat().st_size / 1e6:.0f} MB\n")
    for name, seconds in medians.items():
        ratio = medians["perf script"] / seconds
        peak_mb = f"{memory[name] / 1e6:.0f} MB" if name in memory else ""
        row = f"  {name:20} {seconds:7.3f} s  {ratio:5.1f}x perf script  {peak_mb}"
        sys.stdout.write(f"{row.rstrip()}\n")


def run(command: list[str]) -> tuple[float, int, str]:
    """(wall seconds, peak memory in bytes, what it said on stderr)."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        pid = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, said.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - started
        said.seek(0)
        text = said.read()
    if status:
        raise SystemExit(f"{command[0]} failed: {text}")
    return seconds, usage.ru_maxrss * 1024, text


if __name__ == "__main__":
    sys.exit(main())
