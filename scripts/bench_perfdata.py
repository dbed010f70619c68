"""How fast hakprof turns samples into shares by function, and addresses into lines.

Beside perf, llvm-symbolizer and addr2line:

    .venv/bin/python scripts/bench_perfdata.py [SAMPLES]

Samples: one a page fault of a program that touches memory from several functions, three forms.
`perf script` (each sample named and printed), `perf report` and hakprof (each named and summed
by function) read the same files, interleaved, each in a process of its own.

  whole   the process from its start to its end
  work    without its start: hakprof from when its modules are loaded, symbol tables included; perf
          less what the same command takes for a recording of the same program without the loop,
          so that perf's symbol tables count as its start

Lines: distinct addresses of a library are asked for with the calls inlined there, of
llvm-symbolizer, of addr2line, and of hakprof without and with its memory of earlier answers, as a
whole process and from when its modules are loaded.

Medians over rounds; ratios with their 95 % interval over the rounds.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hakprof.errors import InputError
from hakprof.stats import paired_ratio
from hakprof.symbols.elf_image import open_image
from hakprof.symbols.table import function_table

ROUNDS = 9
PAGE = 4096
CHUNK = 64 << 20
ADDRESSES = 5000

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

SHARES = """
import sys, time
from pathlib import Path
import numpy as np
from hakprof.perfdata.reader import read
from hakprof.perfdata.resolve import resolve
from hakprof.symbols.naming import name_profile
loaded = time.perf_counter()
profile = resolve(read(Path(sys.argv[1])))
names = name_profile(profile)
shares = np.bincount(names.function, profile.weight) / profile.total
for i in np.argsort(-shares):
    one = names.functions[i]
    print(f"{100 * shares[i]:.2f} {one.library} {one.name}")
sys.stderr.write(f"{time.perf_counter() - loaded} {int(profile.samples.sum())}\\n")
"""

LINES = """
import sys, time
from pathlib import Path
from hakprof.symbols.elf_image import open_image
from hakprof.symbols.lines import inline_chains
loaded = time.perf_counter()
for chain in inline_chains(open_image(Path(sys.argv[1])), [int(line, 16) for line in sys.stdin]):
    print(*chain)
sys.stderr.write(f"{time.perf_counter() - loaded}\\n")
"""

FORMS: Mapping[str, Sequence[str]] = {
    "address and time": (),
    "with the period": ("-P",),
    "with call chains": ("-g",),
}

Times = dict[str, list[float]]


def main() -> int:
    """Record, measure, print."""
    if shutil.which("perf") is None:
        sys.stderr.write("perf is not installed\n")
        return 69
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        for title, options in FORMS.items():
            long, short = Path(folder) / "long.data", Path(folder) / "short.data"
            record(long, samples, options)
            record(short, 0, options)
            compare_readers(title, long, short)
        compare_symbolisers(Path(folder))
    return 0


def record(path: Path, samples: int, options: Sequence[str]) -> None:
    """One sample for each page fault in user mode."""
    event = ["-e", "page-faults:u", "-c", "1"]
    command = ["perf", "record", "-q", "-N", *event, *options, "-o", str(path), "--"]
    run([*command, sys.executable, "-c", PROGRAM, str(samples)])


def compare_readers(title: str, long: Path, short: Path) -> None:
    """Time perf and hakprof on one recording."""
    commands = {
        "perf script": ["perf", "script", "-i"],
        "perf report": ["perf", "report", "--stdio", "-g", "none", "-i"],
        "hakprof": [sys.executable, "-c", SHARES],
    }
    whole: Times = {name: [] for name in commands}
    work: Times = {name: [] for name in commands}
    peak = dict.fromkeys(commands, 0)
    seen = 0
    for turn in range(ROUNDS):
        for name, command in shuffled(commands, turn):
            seconds, memory, said = run([*command, str(long)])
            peak[name] = max(memory, peak[name])
            whole[name].append(seconds)
            if name == "hakprof":
                seconds, seen = float(said.split()[0]), int(said.split()[1])
            else:
                seconds -= run([*command, str(short)])[0]
            work[name].append(seconds)
    say(f"{title}: {seen:,} samples, {long.stat().st_size / 1e6:.0f} MB")
    for kind, times in (("whole", whole), ("work", work)):
        for name in commands:
            memory_text = f"{peak[name] / 1e6:5.0f} MB" if kind == "whole" else ""
            say_row(f"{kind:5} {name}", times[name], memory_text)
        for name in ("perf script", "perf report"):
            say_ratio(name, times[name], times["hakprof"])


def compare_symbolisers(folder: Path) -> None:
    """Time those who know lines and inlined calls."""
    library = debugged_library()
    questions = folder / "addresses"
    questions.write_text("".join(f"{address:#x}\n" for address in addresses_of(library)))
    cache = folder / "cache"
    ours = [sys.executable, "-c", LINES, str(library)]
    commands = {
        "addr2line": ["addr2line", "-f", "-i", "-e", str(library)],
        "llvm-symbolizer": ["llvm-symbolizer", "--inlines", f"--obj={library}"],
        "hakprof, first time": ours,
        "hakprof, again": ours,
    }
    commands = {name: words for name, words in commands.items() if shutil.which(words[0])}
    os.environ["XDG_CACHE_HOME"] = str(cache)
    times: Times = {name: [] for name in commands}
    work: Times = {name: [] for name in commands}
    for _ in range(ROUNDS):
        shutil.rmtree(cache, ignore_errors=True)
        for name, command in commands.items():
            seconds, _, said = run(command, questions)
            times[name].append(seconds)
            work[name].append(float(said) if command is ours else seconds)
    size = library.stat().st_size / 1e6
    say(f"lines and inlined calls of {ADDRESSES:,} addresses of {library.name}, {size:.0f} MB")
    for name, seconds in times.items():
        say_row(f"whole {name}", seconds)
    for name in ("addr2line", "llvm-symbolizer"):
        for mine in ("hakprof, first time", "hakprof, again"):
            if name in times:
                say_ratio(name, times[name], times[mine], mine)
                say_ratio(name, times[name], work[mine], f"{mine}, work")


def debugged_library() -> Path:
    """The largest file with debug information that this interpreter has loaded, else libhakmem."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    loaded = {line.split(None, 5)[5] for line in maps.splitlines() if "/" in line}
    found = []
    for name in (*loaded, str(native_library())):
        try:
            if open_image(Path(name)).has_debug_info:
                found.append(Path(name))
        except InputError:
            continue
    return max(found, key=lambda path: path.stat().st_size)


def native_library() -> Path:
    """The allocator of this project, which always has debug information."""
    from hakprof import native  # noqa: PLC0415 - only here

    return native.library("hakmem")


def addresses_of(library: Path) -> list[int]:
    """Addresses inside its functions, always the same ones."""
    functions = [one for one in function_table(open_image(library)).all() if one.size]
    chance = random.Random(1)  # noqa: S311 - reproducible, not secret
    chosen = chance.choices(functions, k=ADDRESSES)
    return [one.start + chance.randrange(one.size) for one in chosen]


def shuffled(commands: Mapping[str, Sequence[str]], turn: int) -> list[tuple[str, Sequence[str]]]:
    """In another order each turn, always the same ones."""
    return random.Random(turn).sample(sorted(commands.items()), len(commands))  # noqa: S311


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(f"{text}\n")


def say_row(name: str, seconds: Sequence[float], more: str = "") -> None:
    """Median of the seconds."""
    say(f"  {name:28} {np.median(seconds):7.3f} s {more}".rstrip())


def say_ratio(name: str, theirs: Sequence[float], ours: Sequence[float], mine: str = "") -> None:
    """How many times faster hakprof is."""
    ratio = paired_ratio(ours, theirs)
    mine = f"{mine}: " if mine else ""
    say(f"  {mine}{ratio.value:5.1f} x {name} [{ratio.low:.1f}, {ratio.high:.1f}]")


def run(command: Sequence[str], stdin: Path = Path(os.devnull)) -> tuple[float, int, str]:
    """(wall seconds, peak memory in bytes, what it said on stderr)."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        pid = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
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
