import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hakprof import elf
from hakprof.errors import InputError

Compile = Callable[..., Path]


def test_program_imports_what_it_calls(compile_c: Compile) -> None:
    facts = elf.read(compile_c("allocates", "allocates.c"))
    assert {"malloc", "calloc", "free"} <= facts.imports
    assert facts.needed == ("libc.so.6",)
    assert not facts.exports
    assert not facts.hidden
    assert not facts.is_static
    assert not facts.is_shared_library
    assert not facts.is_privileged
    assert facts.has_symbol_table


def test_build_id_is_the_one_readelf_shows(compile_c: Compile) -> None:
    path = compile_c("allocates", "allocates.c")
    shown = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    assert elf.read(path).build_id
    assert f"Build ID: {elf.read(path).build_id}" in shown.stdout


def test_static_program_has_no_loader(compile_c: Compile) -> None:
    for flag in ("-static", "-static-pie"):
        facts = elf.read(compile_c(f"allocates{flag}", "allocates.c", flag))
        assert facts.is_static, flag
        assert "malloc" in facts.hidden, flag


def test_own_malloc_is_exported_or_hidden(compile_c: Compile) -> None:
    exported = elf.read(compile_c("own", "allocates.c", "bump.c"))
    assert set(elf.ENTRY_POINTS) == exported.exports
    hidden = elf.read(compile_c("hidden", "-DHIDDEN", "allocates.c", "bump.c"))
    assert set(elf.ENTRY_POINTS) == hidden.hidden
    assert not hidden.exports
    stripped = elf.read(compile_c("stripped", "-DHIDDEN", "allocates.c", "bump.c", "-s"))
    assert not stripped.has_symbol_table
    assert not stripped.hidden


def test_library_is_one_even_if_it_can_be_run(compile_c: Compile) -> None:
    assert elf.read(compile_c("libbump.so", "-shared", "-fPIC", "bump.c")).is_shared_library
    listed = subprocess.run(
        ["ldd", compile_c("allocates", "allocates.c")], capture_output=True, text=True, check=True
    )
    libc = next(word for word in listed.stdout.split() if word.endswith("/libc.so.6"))
    assert elf.read(Path(libc)).is_shared_library
    assert {"malloc", "free"} <= elf.read(Path(libc)).exports


def test_other_architecture_is_named(compile_c: Compile) -> None:
    library = compile_c("aarch64.so", "-shared", "-fPIC", "bump.c", cc="aarch64-linux-gnu-gcc")
    assert elf.read(library).machine == "aarch64"


def test_setuid_bit(compile_c: Compile, tmp_path: Path) -> None:
    program = tmp_path / "raised"
    shutil.copy(compile_c("allocates", "allocates.c"), program)
    assert not elf.read(program).is_privileged
    program.chmod(0o4755)
    assert elf.read(program).is_privileged


def test_file_is_read_anew_when_it_changes(compile_c: Compile, tmp_path: Path) -> None:
    file = tmp_path / "changing"
    shutil.copy(compile_c("allocates", "allocates.c"), file)
    before = elf.read(file).build_id
    file.unlink()
    shutil.copy(compile_c("own", "allocates.c", "bump.c"), file)
    assert elf.read(file).build_id != before


def test_script_is_followed_to_the_file_that_runs(tmp_path: Path) -> None:
    script, second = tmp_path / "script", tmp_path / "second"
    script.write_text("#! /bin/sh -e\n")
    second.write_text(f"#!{script}\n")
    assert elf.started_file(second) == Path("/bin/sh").resolve()
    script.write_text(f"#!{script}\n")
    with pytest.raises(InputError, match="too deep"):
        elf.started_file(script)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "not an ELF"), (b"#!/bin/sh\n", "not an ELF")],
)
def test_what_is_no_elf_file_is_one_line(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        elf.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("special", ["pipe", "folder"])
def test_what_cannot_be_read_to_an_end_is_refused(special: str, tmp_path: Path) -> None:
    path = tmp_path / special
    os.mkfifo(path) if special == "pipe" else path.mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        elf.read(path)


@pytest.fixture(scope="module")
def original(compile_c: Compile) -> bytes:
    return compile_c("hidden", "-DHIDDEN", "allocates.c", "bump.c").read_bytes()


def cpu_s_to_read(path: Path, turn: int) -> float:
    """Where a virtual machine stands still, its CPU clock may go on."""
    os.utime(path, (turn, turn))  # so that it is read anew
    before = time.process_time()
    with contextlib.suppress(InputError):
        assert elf.read(path).path == path
    return time.process_time() - before


@settings(max_examples=150)
@given(
    cut=st.integers(0, 1 << 16),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8))),
    headers=st.lists(st.tuples(st.integers(16, 1200), st.binary(min_size=1, max_size=8))),
)
@example(cut=64, changes=[], headers=[])
@example(cut=1 << 16, changes=[], headers=[(56, b"\xff\xff"), (60, b"\xff\xff")])
def test_broken_files_are_facts_or_one_error(
    original: bytes,
    cut: int,
    changes: list[tuple[int, bytes]],
    headers: list[tuple[int, bytes]],
) -> None:
    """Header bytes decide what is read, so they are changed more often than the rest."""
    content = bytearray(original[:cut])
    for offset, data in [*changes, *headers]:
        content[offset : offset + len(data)] = data
    content[:4] = b"\x7fELF"
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        # No size is walked to its end.
        assert any(cpu_s_to_read(Path(file.name), turn) < 2 for turn in range(5))
