import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.backends.syscall_logs import parse_hakrun, parse_strace
from hakprof.backends.syscalls import TRACERS, Call, Syscalls, account, readings
from hakprof.errors import TargetError
from hakprof.model import Absent, Allocator, Job, Target

LOG = (Path(__file__).parent / "fixtures" / "strace-6.1.txt").read_text(encoding="utf-8")

BLOCKS = "b = [bytearray(8 << 20) for _ in range(5)]; del b"


def parse(lines: Iterable[str]) -> Iterator[Call]:
    return account(parse_strace(lines))


def job(*argv: str) -> Job:
    return Job("glibc", 0, Target(argv[0], argv, is_benchmark=False), Allocator("glibc", None))


def test_the_allocators_calls_are_found_and_understood() -> None:
    calls = list(parse(LOG.splitlines(keepends=True)))
    assert [(c.name, c.mapped_bytes, c.returned_bytes) for c in calls] == [
        ("brk", 0, 0),
        ("brk", 0x4000, 0),
        ("mremap", 8192, 0),
        ("mmap", 134217728, 0),
        ("madvise", 0, 4096),
        ("madvise", 0, 0),
        ("munmap", -134217728, 134217728),
        ("mmap", 0, 0),
        ("brk", -0x2000, 0x2000),
    ]
    assert [c.failed for c in calls].count(True) == 1
    mapped = calls[3]
    assert (mapped.at_s, mapped.took_s) == pytest.approx((0.4, 0.000664))


def test_totals() -> None:
    totals = {r.name: r.value for r in readings(parse(LOG.splitlines()), "strace")}
    assert totals["mmap_calls"] == 2
    assert totals["brk_calls"] == 3
    assert totals["returned_bytes"] == 4096 + 134217728 + 0x2000
    assert totals["memory_calls_ns"] == pytest.approx(1.044e6, rel=0.01)


@given(st.lists(st.sampled_from(LOG.splitlines()), max_size=8), st.text(max_size=80))
def test_any_log_is_read(lines: list[str], noise: str) -> None:
    for call in parse([*lines, noise, f"7 1.0 {noise}", f"7 1.0 mmap({noise}) = 0x1 <0.1>"]):
        assert call.took_s >= 0


@given(st.data())
def test_a_log_that_is_cut_anywhere_is_read(data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(LOG)))
    assert len(list(parse(LOG[:cut].splitlines()))) <= 9


@pytest.fixture(params=["strace", "ptrace"])
def backend(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Syscalls:
    """The backend where strace is there, and where it is hidden."""
    if request.param == "ptrace":
        for name in ("sh", "true"):
            (tmp_path / name).symlink_to(shutil.which(name) or name)
        monkeypatch.setenv("PATH", str(tmp_path))
    found = Syscalls()
    if found.tracer is None or found.tracer.name != request.param:
        pytest.skip(f"no {request.param} here: {found.probe().why}")
    return found


def test_a_real_program_is_traced(backend: Syscalls) -> None:
    sample, calls = backend.trace(job(sys.executable, "-c", BLOCKS))
    assert sample.problem == ""
    large = [c for c in calls if c.name == "mmap" and c.mapped_bytes >= 8 << 20]
    assert len(large) >= 5
    totals = {r.name: r.value for r in sample.readings}
    assert not isinstance(totals["returned_bytes"], Absent)
    assert totals["returned_bytes"] >= 40 << 20
    assert {r.source for r in sample.readings} == {backend.probe().label}


def test_children_and_threads_are_traced_too(backend: Syscalls) -> None:
    threads = f'import threading; threading.Thread(target=exec, args=("{BLOCKS}",)).start()'
    _, calls = backend.trace(
        job("sh", "-c", f"$0 -c '{BLOCKS}'; $0 -c '{threads}'", sys.executable)
    )
    assert sum(c.name == "mmap" and c.mapped_bytes >= 8 << 20 for c in calls) >= 10


def test_both_tracers_see_the_same_calls() -> None:
    seen = []
    for tracer in TRACERS:
        if tracer.name == "strace" and shutil.which("strace") is None:
            pytest.skip("strace is missing")
        backend = Syscalls()
        backend.__dict__["tracer"] = tracer
        _, calls = backend.trace(job("sh", "-c", "exec sort /dev/null"))
        seen.append([(c.name, c.returned_bytes) for c in calls])
    assert seen[0]
    assert seen[0] == seen[1]


def test_a_program_that_cannot_be_traced_has_no_counts() -> None:
    with pytest.raises(TargetError, match="Operation not permitted"):
        list(parse_hakrun(['{"hakcall":1,"error":"Operation not permitted"}']))


@given(st.text(max_size=60))
def test_a_broken_line_of_hakrun_is_an_error_and_not_fewer_calls(noise: str) -> None:
    good = {"hakcall": 1, "task": 1, "name": "brk", "at_ns": 5, "result": 4096}
    assert [c.result for c in parse_hakrun([json.dumps(good)])] == [4096]
    for broken in (noise, json.dumps({**good, "args": [1]}), json.dumps({**good, "hakcall": 2})):
        with pytest.raises(TargetError):
            list(parse_hakrun([broken]))
