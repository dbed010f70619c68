"""Names and lines, on programs that are compiled here and on broken copies of them."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hakprof import process
from hakprof.errors import InputError
from hakprof.hotspots.disassemble import disassemble
from hakprof.model import Kind
from hakprof.profile import Image, ImageKind, Profile
from hakprof.symbols import find, lines, special
from hakprof.symbols.elf_image import ElfImage, open_image
from hakprof.symbols.naming import name_profile
from hakprof.symbols.table import FunctionTable, function_table

SOURCE = """
#include <stdlib.h>
static inline __attribute__((always_inline)) int leaf(int x) {
    volatile int y = x;
    for (int i = 0; i < 10; i++) y += i * x;
    return y;
}
static inline __attribute__((always_inline)) int middle(int x) { return leaf(x) + leaf(x + 1); }
__attribute__((noinline)) int outer(int x) { return middle(x) * 3; }
int main(void) { char *p = malloc(7); int x = outer(p != 0); free(p); return x == 0; }
"""


def _compiler(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def build(folder: Path, *options: str, compiler: str = "gcc", name: str = "program") -> Path:
    source = folder / "program.c"
    source.write_text(SOURCE)
    target = folder / name
    always = ["-O2", "-Wl,--build-id", "-o", str(target), str(source)]
    subprocess.run([_compiler(compiler), *options, *always], check=True)
    return target


def _profile(images: list[Image], rows: list[tuple[int, int, float]]) -> Profile:
    return Profile(
        kind=Kind.SAMPLED,
        event="cpu-clock",
        unit="ns",
        source="test",
        images=tuple(images),
        image=np.array([row[0] for row in rows], np.int64),
        offset=np.array([row[1] for row in rows], np.uint64),
        weight=np.array([row[2] for row in rows], np.float64),
        samples=np.ones(len(rows), np.int64),
    )


def _function(table: FunctionTable, name: str) -> tuple[int, int]:
    return next((f.start, f.size) for f in table.all() if f.name == name)


def _name_at(table: FunctionTable, address: int) -> str:
    index = int(table.find(np.array([address], np.uint64))[0])
    return "" if index < 0 else table.function(index).name


def test_functions_end_where_their_size_says(tmp_path: Path) -> None:
    source = tmp_path / "bounded.s"
    source.write_text(
        ".text\n.globl first\n.type first, @function\nfirst: nop\nnop\n.size first, 2\n"
        ".skip 62\n.type second, @function\nsecond: nop\n.size second, 1\n"
    )
    target = tmp_path / "bounded.so"
    subprocess.run([_compiler("gcc"), "-shared", "-o", target, source], check=True)
    table = function_table(open_image(target))
    start, size = _function(table, "first")
    assert size == 2
    names = [_name_at(table, start + i) for i in (0, 1, 2, 60, 64, 65)]
    assert names == ["first", "first", "", "", "second", ""]


def test_aliases_are_called_by_the_name_a_programmer_knows() -> None:
    library = Path("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2")
    if not library.exists():
        pytest.skip("mimalloc is not installed")
    table = function_table(open_image(library))
    listed = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True)
    places = {row.split()[-1]: row.split()[0] for row in listed.stdout.splitlines()}
    known = ("malloc", "free", "calloc", "realloc", "aligned_alloc")
    assert [_name_at(table, int(places[name], 16)) for name in known] == list(known)
    assert len(set(places.values())) < len(places)


def test_an_outer_function_goes_on_behind_a_nested_one(tmp_path: Path) -> None:
    source = tmp_path / "nested.s"
    source.write_text(
        ".text\n.type outer, @function\nouter: .skip 16\n.type inner, @function\ninner: .skip 16\n"
        ".size inner, 16\n.skip 16\n.size outer, 48\n"
    )
    target = tmp_path / "nested.so"
    subprocess.run([_compiler("gcc"), "-shared", "-o", target, source], check=True)
    table = function_table(open_image(target))
    start, _ = _function(table, "outer")
    found = [_name_at(table, start + i) for i in (0, 16, 31, 32, 47, 48)]
    assert found == ["outer", "inner", "inner", "outer", "outer", ""]


def test_stubs_of_the_plt_have_the_name_of_what_they_call(tmp_path: Path) -> None:
    image = open_image(build(tmp_path))
    start, size = _function(function_table(image), "malloc@plt")
    shown = subprocess.run(
        ["objdump", "-d", image.path], capture_output=True, text=True, check=True
    ).stdout
    assert f"{start:016x} <malloc@plt>:" in shown
    assert size == 16


CHAIN = ["leaf", "middle", "outer"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("pie", ["-pie", "-no-pie"])
@pytest.mark.parametrize("ask", [lines.ask_dwarf, lines.ask_addr2line])
def test_those_who_know_lines_agree(
    tmp_path: Path, ask: lines.Ask, compiler: str, version: int, pie: str
) -> None:
    if lines.llvm_symbolizer() is None:
        pytest.skip("llvm-symbolizer is not installed")
    image = open_image(build(tmp_path, f"-gdwarf-{version}", pie, compiler=compiler))
    start, size = _function(function_table(image), "outer")
    addresses = range(start, start + size)
    ours = lines.inline_chains(image, addresses, ask)
    shutil.rmtree(lines.cache_folder())
    theirs = lines.inline_chains(image, addresses, lines.ask_llvm)
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 0.98 * size
    assert CHAIN in [[place.function for place in chain] for chain in ours]
    wanted = SOURCE.splitlines().index("    for (int i = 0; i < 10; i++) y += i * x;") + 1
    assert any(chain and chain[0].line == wanted for chain in ours)


def test_a_large_answer_takes_one_reading_of_the_debug_information(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lines.llvm_symbolizer() is None:
        pytest.skip("llvm-symbolizer is not installed")
    image = open_image(build(tmp_path, "-g"))
    start, size = _function(function_table(image), "outer")
    addresses = [start + i % size for i in range(8000)]
    started = []
    monkeypatch.setattr(lines, "run", lambda one: (started.append(one), process.run(one))[1])
    chains = lines.ask_llvm(image.path, addresses)
    assert len(started) == 1
    monkeypatch.setattr(lines, "ANSWER_LIMIT_BYTES", 100_000)
    assert lines.ask_llvm(image.path, addresses) == chains  # in parts that fit
    assert len(started) > 4


@pytest.mark.parametrize("script", ["sed 'a ??\\n??:0'", "exit 1"])
def test_who_cannot_read_a_file_is_not_the_last_to_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    image = open_image(build(tmp_path, "-g"))
    start, size = _function(function_table(image), "outer")
    addresses = range(start, start + size)
    fake = tmp_path / "bin" / "addr2line"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(lines, "llvm_symbolizer", lambda: None)
    assert lines.inline_chains(image, addresses) == lines.ask_dwarf(image.path, addresses)


def test_answers_are_remembered_by_build_id(tmp_path: Path) -> None:
    image = open_image(build(tmp_path, "-g"))
    start, _ = _function(function_table(image), "outer")
    first = lines.inline_chains(image, [start, start + 4])

    def refuse(*_: object) -> list[lines.Chain]:
        pytest.fail("asked again")

    assert lines.inline_chains(image, [start + 4, start], refuse) == first[::-1]
    stored = next(lines.cache_folder().iterdir())
    stored.write_text('{"version": 1, "places": [["x"]], "chains": {"1": [5]}}')
    assert lines.inline_chains(image, [start, start + 4]) == first


def test_stripped_files_say_so_and_separate_debug_files_are_found(tmp_path: Path) -> None:
    program = build(tmp_path, "-g")
    debug = tmp_path / "program.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    start, _ = _function(function_table(open_image(program)), "outer")
    subprocess.run(["strip", program], check=True)
    image = Image(ImageKind.FILE, str(program), open_image(program).build_id)
    assert "is stripped" in find.locate(image).problem
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
    find._locate.cache_clear()  # noqa: SLF001 - the file changed under our feet
    found = find.locate(image)
    assert found.problem == ""
    assert found.names is not None
    assert _name_at(function_table(found.names), start) == "outer"
    (chain,) = lines.inline_chains(found.names, [start])
    assert chain[-1].function == "outer"


def test_a_rebuilt_file_is_refused(tmp_path: Path) -> None:
    program = build(tmp_path, "-g")
    image = Image(ImageKind.FILE, str(program), "00" * 20)
    with pytest.raises(InputError, match="rebuilt since the recording") as caught:
        name_profile(_profile([image], [(0, 0x1100, 5.0)]))
    assert caught.value.advice == "record again"


def test_every_address_has_some_name(tmp_path: Path) -> None:
    program = build(tmp_path, "-g")
    elf = open_image(program)
    start, _ = _function(function_table(elf), "outer")
    segment = next(s for s in elf.segments if s.executable)
    images = [
        Image(ImageKind.FILE, str(program), elf.build_id),
        Image(ImageKind.FILE, "/gone/libgone.so"),
        Image(ImageKind.JIT, "//anon", pid=1),
        Image(ImageKind.UNKNOWN, "[unknown]"),
    ]
    offset = start - segment.address + segment.offset
    names = name_profile(_profile(images, [(0, offset, 1), (1, 5, 1), (2, 5, 1), (3, 5, 1)]))
    shown = [(names.functions[i].library, names.functions[i].name) for i in names.function]
    assert shown == [
        ("program", "outer"),
        ("libgone.so", ""),
        ("anon", ""),
        ("[unknown]", ""),
    ]
    assert names.address[0] == start
    assert any("not on this machine" in note for note in names.notes)
    assert any("perf-1.map" in note for note in names.notes)


def test_functions_of_a_jit_compiler(tmp_path: Path) -> None:
    listed = "1000 20 old\n1000 20 LazyCompile:*new x.js:1\nffffffffffffffff 9 wraps\nnonsense\n"
    (tmp_path / "perf-77.map").write_text(listed)
    table = special.jit_table(Image(ImageKind.JIT, "//anon", pid=77), tmp_path)
    assert _name_at(table, 0x101F) == "LazyCompile:*new x.js:1"
    assert _name_at(table, 0x1020) == ""


def test_functions_of_the_vdso(tmp_path: Path) -> None:
    names = {function.name for function in special.vdso_table("", tmp_path).all()}
    assert any("clock_gettime" in name or "kernel_clock" in name for name in names)


def test_functions_of_the_kernel_or_why_not() -> None:
    try:
        table = special.kernel_table("")
    except InputError as error:
        pytest.skip(str(error))
    start, _ = _function(table, "schedule")
    assert _name_at(table, start + 3) == "schedule"
    with pytest.raises(InputError, match="another kernel"):
        special.kernel_table("00" * 20)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("small"), "-g", "-gdwarf-5")


def _read_all(path: Path) -> Iterator[str]:
    image: ElfImage = open_image(path)
    table = function_table(image)
    table.find(np.arange(0x1000, 0x1400, dtype=np.uint64))
    return (function.name for function in table.all())


def test_truncated_files_end_in_one_error_or_a_result(tmp_path: Path, small: Path) -> None:
    path = tmp_path / "cut"
    whole = small.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            list(_read_all(path))
        assert "\n" not in str(caught.value)


@example(seed=216, count=8, front=False)  # a PLT at an address beyond 63 bits
@given(seed=st.integers(0, 2**32), count=st.integers(1, 30), front=st.booleans())
@settings(max_examples=300)
def test_mutated_files_end_in_one_error_or_a_result(
    tmp_path_factory: pytest.TempPathFactory,
    small: Path,
    seed: int,
    count: int,
    front: bool,  # noqa: FBT001 - a property's input
) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    data = bytearray(small.read_bytes())
    for _ in range(count):
        reach = 1024 if front else len(data)
        data[rng.randrange(reach) - (0 if rng.random() < 0.5 else reach)] = rng.randrange(256)
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(data)
    try:
        list(_read_all(path))
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("ask", [lines.ask_llvm, lines.ask_addr2line, lines.ask_dwarf])
def test_broken_debug_information_harms_nobody_else(
    tmp_path: Path, small: Path, ask: lines.Ask
) -> None:
    image = open_image(small)
    start, size = _function(function_table(image), "outer")
    info = image.by_name[".debug_info"]
    rng = random.Random(7)  # noqa: S311 - reproducible, not secret
    path = tmp_path / "broken"
    for _ in range(6):
        data = bytearray(small.read_bytes())
        for _ in range(8):
            data[info.offset + rng.randrange(info.size)] = rng.randrange(256)
        path.write_bytes(data)
        try:
            answer = ask(path, range(start, start + size, 16))
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert len(answer) == len(range(start, start + size, 16))


def test_dwarf_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no ELF file")
    done = subprocess.run(
        [sys.executable, "-m", "hakprof.symbols.dwarf", path],
        input="0x10\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr


def test_names_and_lines_of_a_32_bit_program(tmp_path: Path) -> None:
    source = tmp_path / "small.c"
    source.write_text(
        "__attribute__((noinline)) int one(int x) { return x + 1; }\n"
        "void _start(void) { one(2); __builtin_trap(); }\n"
    )
    program = tmp_path / "small"
    options = ["-m32", "-g", "-O1", "-nostdlib", "-ffreestanding", "-static", "-fno-pic", "-no-pie"]
    command = ["gcc", *options, "-Wl,--build-id", "-o", str(program), str(source)]
    if shutil.which("gcc") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no gcc that makes 32-bit programs")
    image = open_image(program)
    assert image.bits == 32
    assert len(image.build_id) == 40
    start, size = _function(function_table(image), "one")
    assert size > 0
    code = disassemble(image, start, size)
    assert code[-1].text == "ret"
    assert lines.inline_chains(image, [start])[0][0].line == 1


def test_stubs_of_a_32_bit_library(tmp_path: Path) -> None:
    source = tmp_path / "small.c"
    source.write_text("int other(int);\nint one(int x) { return other(x) + 1; }\n")
    library = tmp_path / "libsmall.so"
    options = ["-m32", "-O1", "-nostdlib", "-shared", "-fPIC", "-Wl,-z,lazy"]
    command = ["gcc", *options, "-o", str(library), str(source)]
    if shutil.which("gcc") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no gcc that makes 32-bit libraries")
    image = open_image(library)
    table = function_table(image)
    start, size = _function(table, "one")
    assert any("call other@plt" in one.text for one in disassemble(image, start, size))
