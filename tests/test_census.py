import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import census
from hakprof.census import Census
from hakprof.model import Absent, Kind

Compile = Callable[..., Path]


def take(*argv: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 600) -> Census:
    return census.take([str(word) for word in argv], env=env or {}, timeout_s=timeout_s)


@pytest.fixture
def program(compile_c: Compile) -> Path:
    return compile_c("allocates", "allocates.c")


def test_every_function_is_counted_as_itself(compile_c: Compile) -> None:
    found = take(compile_c("calls", "calls.c", "-fno-builtin", "-pthread"))
    assert found.problem == ""
    assert dict(found.calls) == {
        "malloc": 2,
        "calloc": 1,
        "realloc": 2,
        "memalign": 1,
        "aligned_alloc": 1,
        "posix_memalign": 1,
        "valloc": 1,
        "pvalloc": 1,
        "free": 9,
        "free_null": 1,
        "free_remote": 0,
        "realloc_new": 1,
        "realloc_free": 0,
        "failed": 1,
        "bytes_requested": 10 + 100 + 2000 + 3000 + 100 + 128 + 1024 + 1025 + 1,
    }
    assert found.sizes == ((16, 2), (112, 2), (128, 1), (1024, 1), (2048, 2), (4096, 1))
    assert (found.allocs, found.frees, found.ops) == (9, 8, 18)
    assert found.peak_bytes == 10 + 100 + 3000 + 100 + 128 + 1024 + 1025 + 1


def test_readings_for_the_metrics(program: Path) -> None:
    readings = {reading.name: reading for reading in take(program).readings()}
    # 1000 blocks, the table of them, and the buffer of stdout, which is never freed
    assert readings["allocs"].value == 1002
    assert readings["frees"].value == 1001
    assert readings["ops"].value == 2003
    assert readings["bytes_requested"].unit == "bytes"
    assert {reading.kind for reading in readings.values()} == {Kind.EXACT}


def test_threads_are_counted_to_the_last_call(compile_c: Compile) -> None:
    calls = compile_c("calls", "calls.c", "-fno-builtin", "-pthread")
    few, many = take(calls, "1"), take(calls, "150")
    assert dict(many.sizes)[112] - dict(few.sizes)[112] == 149_000


def test_most_that_is_live_at_once_and_who_frees_it(compile_c: Compile) -> None:
    lives = compile_c("lives", "lives.c", "-fno-builtin", "-pthread")
    found = take(lives, "30000")
    # live at once: the blocks of 100 bytes that are handed over and the table of them
    assert found.peak_bytes is not None
    assert 0 <= found.peak_bytes - 30_000 * (100 + 8) < 4096
    assert (found.asked.value, found.asked.unit) == (found.peak_bytes, "bytes")
    assert found.calls["free_remote"] == 30_000
    assert found.remote_share == pytest.approx(0.5, abs=1e-3)


def test_a_child_has_what_its_parent_had_and_no_more(compile_c: Compile) -> None:
    found = take(compile_c("lives", "lives.c", "-fno-builtin", "-pthread"), "1000", "fork")
    assert found.processes == 2
    assert found.peak_bytes is not None
    assert 0 <= found.peak_bytes - 1000 * (100 + 8) < 4096


def test_peak_is_that_of_the_largest_process_or_unknown() -> None:
    def both(second: bytes) -> Census:
        return census.parse(line(at="start") + line(at="end", peak_bytes=7) + second)

    assert both(line(at="end", peak_bytes=9)).peak_bytes == 9
    assert both(line(at="end")).peak_bytes is None


def test_tree_adds_up_over_forks_and_execs(program: Path) -> None:
    one = take(program, "100")
    assert take(program, "100", "/bin/true").calls["free"] == one.calls["free"]
    chain = take("env", "sh", "-c", f"{program} 100; ({program} 100); exec {program} 100")
    assert chain.problem == ""
    assert chain.processes >= 5
    for size in (704, 1008):  # sizes of which a shell asks for none
        assert dict(chain.sizes).get(size, 0) >= 3 * dict(one.sizes)[size]


def test_processes_that_end_by_exit_group_tell_as_well() -> None:
    found = take("sh", "-c", "(exit 3); true")
    assert found.processes == 2
    assert found.lost == 0


def test_killed_process_is_lost_not_zero() -> None:
    found = take("sh", "-c", "kill -9 $$")
    assert found.lost == 1
    assert "1 of 1 processes ended" in found.problem
    values = [reading.value for reading in found.readings()]
    assert all(isinstance(value, Absent) for value in (*values, found.asked.value))


def test_stopped_program_is_lost(stopped: Callable[..., Census]) -> None:
    def taken(words: Sequence[str], timeout_s: float) -> Census:
        return take(*words, timeout_s=timeout_s)

    assert stopped(taken).lost == 1


def test_static_program_has_no_census(compile_c: Compile) -> None:
    found = take(compile_c("static", "allocates.c", "-static"))
    assert found == Census()
    assert "static" in found.problem


def test_descriptor_that_the_program_reuses_is_left_alone(tmp_path: Path) -> None:
    """A program that closes everything opens its own files under our number."""
    file = tmp_path / "own"
    script = (
        "import os, sys; own = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY);"
        "os.dup2(own, int(os.environ['HAKCENSUS_FD']))"
    )
    found = take(sys.executable, "-c", script, file)
    assert file.read_bytes() == b""
    assert found.lost


def line(**values: object) -> bytes:
    return json.dumps({"hakcensus": 1, "pid": 1, **values}).encode() + b"\n"


def test_program_that_becomes_another_unseen_has_lost_its_calls() -> None:
    lines = line(at="start") + line(at="start") + line(at="end", malloc=5)
    assert census.parse(lines).lost == 1
    assert census.parse(lines + line(at="start", pid=2)).lost == 2
    assert census.parse(line(at="end", malloc=1) + line(at="start") + line(at="end")).lost == 0


@given(st.binary(max_size=300))
def test_noise_is_lost_lines(noise: bytes) -> None:
    found = census.parse(noise)
    assert found.allocs == 0
    assert found.lost == len(noise.splitlines())


@given(st.lists(st.sampled_from([b"[" * 5000, b'{"hakcensus":2}', b'{"hakcensus":1}', b"\xff"])))
def test_other_versions_and_hostile_lines_are_lost(lines: list[bytes]) -> None:
    assert census.parse(b"\n".join(lines)).lost == len(lines)
