import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.audit import Calls, LibcUse, Lines, audit_lines, exec_lines

RECORDED = (
    b'{"hakaudit":1,"at":"start","pid":7,"ppid":6,"exe":"/usr/bin/x","entry":'
    b'{"malloc":["/lib/a.so","malloc"],"free":null},"operator_new":{"_Znwm":["/lib/s.so","_Znwm"]},'
    b'"libc_mallinfo":{"before":0,"after":832},"calls":{"allocs":2000,"frees":1999},'
    b'"maps":[["/lib/a.so","01ab"]]}\n'
    b'{"hakaudit":1,"at":"maps","pid":7,"ppid":6,"exe":"/usr/bin/x","maps":[["/lib/b.so",""]]}\n'
    b'{"hakaudit":1,"at":"exit","pid":7,"ppid":6,"exe":"/usr/bin/x","libc_obtained":null,'
    b'"libc_copies":1}\n'
)


def test_recorded_lines() -> None:
    read = audit_lines(RECORDED)
    assert (len(read.starts), len(read.exits), read.unreadable) == (1, 1, 0)
    start = read.starts[0]
    assert start.owner("malloc") == "/lib/a.so"
    assert start.owner("free") == ""
    assert start.owner("calloc") == ""
    assert start.operator_owner == "/lib/s.so"
    assert start.libc_mallinfo == LibcUse(0, 832)
    assert start.calls == Calls(2000, 1999)
    assert start.maps == (("/lib/a.so", "01ab"), ("/lib/b.so", ""))
    assert read.exits[0].libc_obtained is None


def test_what_nobody_could_tell_is_none() -> None:
    line = RECORDED.splitlines()[0]
    data = json.loads(line) | {"libc_mallinfo": None, "calls": None}
    start = audit_lines(json.dumps(data).encode()).starts[0]
    assert start.libc_mallinfo is None
    assert start.calls is None


def test_more_objects_belong_to_the_last_image_of_their_process() -> None:
    first, more, _ = RECORDED.splitlines(keepends=True)
    other = first.replace(b'"pid":7', b'"pid":8')
    read = audit_lines(first + first + other + more)
    assert [len(start.maps) for start in read.starts] == [1, 2, 1]
    assert audit_lines(more).unreadable == 1


def test_paths_that_are_no_utf8_survive() -> None:
    read = audit_lines(RECORDED.replace(b"/usr/bin/x", b"/usr/bin/\xff"))
    assert read.starts[0].exe.encode(errors="surrogateescape") == b"/usr/bin/\xff"


def test_exec_lines() -> None:
    text = (
        b'{"hakexec":1,"pid":7,"ppid":6,"exe":"/usr/bin/x","preload":null,"static":false,'
        b'"secure":true}\n{"hakexec":1,"error":"Operation not permitted"}\n'
    )
    read = exec_lines(text)
    assert read.execs[0].preload is None
    assert read.execs[0].secure
    assert read.error == "Operation not permitted"
    assert audit_lines(text).unreadable == 2


@given(st.binary(max_size=200))
def test_noise_is_counted(noise: bytes) -> None:
    lines = [line for line in noise.split(b"\n") if line]
    assert audit_lines(noise) == Lines(unreadable=len(lines))


@given(st.integers(0, len(RECORDED)))
def test_cut_line_is_counted_not_guessed(cut: int) -> None:
    read = audit_lines(RECORDED[:cut])
    whole = RECORDED[: cut + 1].count(b"\n")
    assert len(read.starts) == min(whole, 1)
    assert len(read.exits) == (whole == 3)
    assert read.unreadable == (RECORDED[cut - 1 : cut + 1].count(b"\n") == 0 and cut > 0)


@pytest.mark.parametrize("key", ["pid", "exe", "entry", "maps", "libc_mallinfo", "calls"])
@pytest.mark.parametrize("value", [True, "x", -1.5, [[1]], {"malloc": 7}])
def test_value_of_another_type_is_counted_not_guessed(key: str, value: object) -> None:
    data = json.loads(RECORDED.splitlines()[0]) | {key: value}
    if (key, value) != ("exe", "x"):
        assert audit_lines(json.dumps(data).encode()) == Lines(unreadable=1)
