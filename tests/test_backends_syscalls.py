import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.backends.syscalls import Syscalls, parse, readings
from hakprof.model import Absent, Allocator, Job, Target

LOG = (Path(__file__).parent / "fixtures" / "strace-6.1.txt").read_text(encoding="utf-8")

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")


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
    totals = {r.name: r.value for r in readings(parse(LOG.splitlines()))}
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


@needs_strace
def test_a_real_program_is_traced() -> None:
    backend = Syscalls()
    availability = backend.probe()
    if not availability.usable:
        pytest.skip(availability.why)
    code = "b = [bytearray(8 << 20) for _ in range(5)]; del b"
    target = Target("python3", ("python3", "-c", code), is_benchmark=False)
    sample, calls = backend.trace(Job("glibc", 0, target, Allocator("glibc", None)))
    assert sample.problem == ""
    large = [c for c in calls if c.name == "mmap" and c.mapped_bytes >= 8 << 20]
    assert len(large) >= 5
    totals = {r.name: r.value for r in sample.readings}
    assert not isinstance(totals["returned_bytes"], Absent)
    assert totals["returned_bytes"] >= 40 << 20
