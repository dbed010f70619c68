"""What counting costs: nothing when off, three instructions on a fast path when on."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hakprof.native import library

SOURCES = Path(__file__).resolve().parent.parent / "core"
EVENT = re.compile(r"\bhk_on_\w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\);")
WITHOUT_WARNINGS = "-w"  # a source without events has unused parameters
Compile = Callable[..., Path]


def without_events(folder: Path) -> None:
    """Remove every call of an event; what is left is a source that knows of none."""
    removed = 0
    for path in folder.glob("*.[ch]"):
        if path.name == "events.h" or path.name.startswith("counters"):
            continue
        text, found = EVENT.subn(";", path.read_text())
        assert "hk_on_" not in text, path
        removed += found
        path.write_text(text)
    assert removed > 50


def functions(binary: Path) -> Iterator[tuple[str, list[str]]]:
    """Instructions of each function; addresses of data, which the linker chooses, are left out."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", binary], capture_output=True, text=True, check=True
    ).stdout
    for part in re.split(r"\n\n", listing):
        head = re.match(r"[0-9a-f]+ <(.+)>:\n", part.lstrip())
        if head:
            lines = [line.split("\t", 1)[1] for line in part.splitlines() if "\t" in line]
            yield head[1], [plain(line) for line in lines]


def plain(instruction: str) -> str:
    text = instruction.split("#", maxsplit=1)[0].strip()
    text = re.sub(r"-?0x[0-9a-f]+\(%rip\)", "DATA(%rip)", text)
    return re.sub(r"\b[0-9a-f]+ <", "<", text)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_events_that_are_off_leave_no_trace_in_the_machine_code(
    compiler: str, tmp_path: Path, compile_release: Compile
) -> None:
    if shutil.which(compiler) is None or shutil.which("objdump") is None:
        pytest.skip(f"{compiler} or objdump is missing")
    stripped = tmp_path / "src"
    shutil.copytree(SOURCES / "src", stripped)
    without_events(stripped)

    def code(sources: Path, name: str) -> dict[str, list[str]]:
        made = compile_release(compiler, sources, tmp_path / name, WITHOUT_WARNINGS)
        return dict(functions(made))

    with_events = code(SOURCES / "src", "with.so")
    assert with_events == code(stripped, "without.so")
    assert len(with_events["malloc"]) > 5


def fast_path(instructions: list[str]) -> int:
    """Instructions up to the first return: slow paths are jumped to, behind it."""
    return next(i for i, text in enumerate(instructions) if text.startswith("ret")) + 1


@pytest.mark.parametrize("name", ["malloc", "free", "hak_alloc_at", "hak_free_at"])
def test_at_most_three_more_instructions_on_a_fast_path(name: str) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("objdump is missing")
    off = dict(functions(library("hakmem")))[name]
    on = dict(functions(library("hakmem-counters")))[name]
    assert 0 < fast_path(on) - fast_path(off) <= 3


def self_instructions(benchmark: Path, allocator: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """By function: instructions of its own and calls, as callgrind saw every one of them."""
    out = folder / f"{allocator.stem}.out"
    subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no",
         "--compress-pos=no", benchmark, "--iters", "200"],
        env={"LD_PRELOAD": str(allocator), "HAKBENCH_CLOCK": "0"},
        check=True,
        capture_output=True,
    )  # fmt: skip
    return parse_callgrind(out.read_text())


def parse_callgrind(text: str) -> dict[str, tuple[int, int]]:
    own: dict[str, int] = {}
    calls: dict[str, int] = {}
    current, called, skip = "", "", False
    for line in text.splitlines():
        if line.startswith("fn="):
            current = line[3:]
        elif line.startswith("cfn="):
            called = line[4:]
        elif line.startswith("calls="):
            calls[called] = calls.get(called, 0) + int(line[6:].split()[0])
            skip = True
        elif re.match(r"[0-9+*-]", line):
            if not skip:
                own[current] = own.get(current, 0) + int(line.split()[1])
            skip = False
    return {name: (count, calls.get(name, 0)) for name, count in own.items()}


def test_every_call_of_malloc_and_free_pays_at_most_three(tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is missing")
    from hakprof.native import benchmark  # noqa: PLC0415 # not where valgrind is missing

    tiny = benchmark("bench_tiny")
    off = self_instructions(tiny, library("hakmem"), tmp_path)
    on = self_instructions(tiny, library("hakmem-counters"), tmp_path)
    for name in ("malloc", "free"):
        (before, calls), (after, calls_on) = off[name], on[name]
        assert calls == calls_on > 10_000
        assert 2.9 * calls < after - before <= 3 * calls
