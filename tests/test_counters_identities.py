"""Identities on dumps made by hand: found, excused, and impossible to check."""

import json

import pytest

from hakprof.counters.document import parse_document
from hakprof.counters.dump import Dump
from hakprof.counters.identities import Check, check_all, verdict
from hakprof.errors import InputError
from hakprof.schema import Schema

LAYOUT = {
    "axes": {"class": 3, "stage": ["spare", "mmap"]},
    "counters": [["hit", ["class"]], ["free", ["class"]], ["block", ["stage", "class"]]],
    "gauges": [["live", []], ["cached", ["class"]]],
}


def check(rules: dict[str, str], dump: Dump) -> list[Check]:
    return check_all(Schema("toy", 1, "", {}, rules, {}), dump)


def dump(state: int = 2, threads: int = 1, **counts: object) -> Dump:
    gauges = {name: counts.pop(name) for name in ("live", "cached") if name in counts}
    document = {
        "hakmem_counters": 1,
        "state": state,
        "layout": LAYOUT,
        "gauges": gauges,
        "ended": {"counts": counts},
        "threads": [{"tid": 1 + n, "counts": {}} for n in range(threads)],
    }
    return parse_document(json.dumps(document), "f")[0]


def test_a_law_holds_for_each_class_if_all_its_terms_have_one() -> None:
    rules = {"flow": "hit == free + cached"}
    good = dump(hit={"1": 5, "2": 1}, free={"1": 3, "2": 1}, cached={"1": 2})
    (found,) = check(rules, good)
    assert found.holds
    (found,) = check(rules, dump(hit={"1": 5, "2": 1}, free={"1": 1, "2": 5}))
    assert [(b.index, b.left, b.right) for b in found.breaches] == [(1, 5, 1), (2, 1, 5)]


def test_a_law_with_a_term_for_all_classes_is_summed_up() -> None:
    (found,) = check({"sum": "hit - free == live"}, dump(hit={"1": 5, "2": 1}, live=6))
    assert found.holds


def test_a_difference_may_go_below_zero() -> None:
    (found,) = check({"x": "hit - free == cached - hit"}, dump(free={"1": 7}))
    assert (found.breaches[0].left, found.breaches[0].right) == (-7, 0)


def test_one_member_of_an_axis() -> None:
    state = dump(hit={"1": 2}, block={"mmap": {"1": 2}, "spare": {"1": 9}})
    (found,) = check({"x": "hit == block[mmap]"}, state)
    assert found.holds
    with pytest.raises(InputError, match="no member nothing"):
        check({"x": "hit == block[nothing]"}, state)


def test_a_dump_without_a_counter_cannot_be_checked() -> None:
    (found,) = check({"x": "hit == unheard"}, dump())
    assert not found.holds
    assert verdict(found, dump()) == "x: cannot be checked, the dump has no unheard"


@pytest.mark.parametrize(
    ("state", "threads", "text"),
    [
        (2, 1, "BROKEN"),
        (1, 1, "the process was running"),
        (2, 3, "2 other threads were running at exit"),
    ],
)
def test_a_breach_is_named_and_excused_only_where_work_was_in_flight(
    state: int, threads: int, text: str
) -> None:
    broken = dump(state=state, threads=threads, hit={"1": 1, "2": 50})
    (found,) = check({"flow": "hit == free"}, broken)
    assert verdict(found, broken).startswith(
        "flow: 50 against 0 in class 2 (hit == free), and in 1 other classes"
    )
    assert text in verdict(found, broken)
