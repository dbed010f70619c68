from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.backends.callgrind_output import parse
from hakprof.errors import InputError

# As callgrind 3.19 wrote it for `memset` of 8192 bytes by `rep stosb`, 1000 times in the region
# and 100 times before it: the jumps of those hundred are in the file, their instructions are not.
MEMSET = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 1
cmd:  haktruth memset 1000
part: 1

positions: instr line
events: Ir

ob=(5) /x/haktruth
fl=(146) truth.c
fn=(550) rep_memset
0x3180 92 1
0x3183 92 1
0x3188 92 1
jump=2 0x3188 92
0x3188 92
0x3180 92 999
0x3183 92 999
0x3188 92 999
jump=1098 0x3188 92
0x3188 92
0x3188 92 8192000
jcnd=9010100/8192000 0x3188 92
0x3188 92
0x318a 92 1000
0x318d 92 1000
jcnd=1098/1000 0x3180 92
0x318d 92
0x318f 96 1

ob=(3) /x/libc.so.6
fn=(7) other
0x3188 10 17
calls=1 0x3180 92
0x318a 11 8197000

totals: 8197018
"""


def count(lines: Sequence[str]) -> int:
    return parse([f"{line}\n" for line in lines]).instructions


def test_recorded_memset_counts_each_rep_once() -> None:
    totals = parse(MEMSET.splitlines(keepends=True))
    assert totals.repeats == 8192000
    assert totals.instructions == 5018


def test_events_of_a_simulation_by_name_and_zeros_left_out() -> None:
    totals = parse(["positions: instr line\n", "events: Ir Dr Dw D1mr\n", "totals: 70 5 2\n"])
    assert totals.events == {"Ir": 70, "Dr": 5, "Dw": 2, "D1mr": 0}
    assert totals.instructions == 70


def test_a_loop_is_no_rep() -> None:
    lines = ["positions: instr line", "events: Ir", "fn=(1) f", "0x10 1 50", "0x13 1 50"]
    lines += ["jcnd=49/50 0x10 1", "0x13 1", "totals: 100"]
    assert count(lines) == 100


def test_jumps_to_a_rep_from_elsewhere_are_first_turns() -> None:
    lines = ["positions: instr line", "events: Ir", "fn=(1) f", "0x10 1 10", "jump=10 0x20 1"]
    lines += ["0x10 1", "0x20 1 110", "jcnd=100/110 0x20 1", "0x20 1", "totals: 120"]
    assert count(lines) == 20


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "no totals"),
        (["events: Ir"], "no totals"),
        (["totals: 5"], "no totals"),
        (["events: Dr", "positions: instr line", "totals: 5"], "no totals"),
        (["events: Ir", "totals: 5"], "no 'instr line' positions"),
        (["events: Ir", "positions: instr line", "totals: five"], "broken totals: five"),
        (["events: Ir", "positions: instr line", "totals: 5 6"], "more totals than events"),
        (MEMSET.replace(": 8197018", ": 18").splitlines(), "more repeats"),
    ],
)
def test_incomplete_or_broken_files(lines: Sequence[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse([f"{line}\n" for line in lines])


@given(cut=st.integers(0, len(MEMSET) - len("\n")))
def test_a_cut_file_is_never_taken_for_a_whole_one(cut: int) -> None:
    with pytest.raises(InputError):
        parse(MEMSET[:cut].splitlines(keepends=True))


piece = st.sampled_from(MEMSET.splitlines())


@given(lines=st.lists(st.one_of(piece, st.text(max_size=30))))
def test_any_lines_give_a_count_or_an_input_error(lines: list[str]) -> None:
    try:
        totals = parse([f"{line}\n" for line in lines])
    except InputError:
        return
    assert 0 <= totals.instructions <= totals.events["Ir"]
