"""The schema of hakmem's counters, its generated files, and layouts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.counters.identities import CLASS, parse_identity
from hakprof.counters.layout import layout_of, parse_layout
from hakprof.counters.sentences import sentences
from hakprof.counters.tables import all_tables
from hakprof.counters.view import ALLOCS, FREES
from hakprof.errors import InputError
from hakprof.schema import load

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "counters" / "hakmem.toml"


def test_generated_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_counters.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_counter_has_layer_stage_unit_and_meaning() -> None:
    for counter in load(SCHEMA).counters.values():
        assert counter.layer, counter.name
        assert counter.stage, counter.name
        assert not counter.meaning.endswith("."), counter.name


def test_identities_name_counters_of_the_schema() -> None:
    schema = load(SCHEMA)
    layout = layout_of(schema)
    known = set(layout.counters) | set(layout.gauges)
    for name, rule in schema.identities.items():
        identity = parse_identity(name, rule)
        assert {term.counter for term in identity.left + identity.right} <= known, name


def test_what_hakprof_asks_for_by_name_is_in_the_schema() -> None:
    """Tables and sentences name counters: a renamed one must not read as 0."""
    layout = layout_of(load(SCHEMA))
    assert set(ALLOCS + FREES) <= set(layout.counters)
    asked: set[str] = set()
    members: set[tuple[str, str]] = set()

    class Spy:
        class_bytes = ()
        gauges: ClassVar[dict[str, int]] = {}
        allocs = frees = ops = 10**9
        small_given_bytes = 10**9

        def sum(self, *names: str, **named: str) -> int:
            asked.update(names)
            members.update(named.items())
            return 10**6

        def by_class(self, *names: str) -> list[int]:
            asked.update(names)
            return [1]

        def members(self, axis: str) -> tuple[str, ...]:
            return layout.axes[axis].members

    all_tables(Spy(), {})  # type: ignore[arg-type]
    sentences(Spy())  # type: ignore[arg-type]
    assert asked <= set(layout.counters)
    assert all(member in layout.axes[axis].members for axis, member in members)


def test_a_layout_survives_its_document() -> None:
    layout = layout_of(load(SCHEMA))
    assert parse_layout(json.loads(json.dumps(layout.document()))) == layout


NAMES = st.text("abcdef", min_size=1, max_size=4)
AXES = st.dictionaries(
    NAMES, st.integers(1, 9) | st.lists(NAMES, min_size=1, max_size=4, unique=True), max_size=4
)


@given(AXES, st.lists(NAMES, unique=True, max_size=6), st.data())
def test_counters_never_overlap(
    axes: dict[str, int | list[str]], names: list[str], data: st.DataObject
) -> None:
    by = st.lists(st.sampled_from(sorted(axes)), max_size=2) if axes else st.just([])
    counters = [[name, data.draw(by)] for name in names]
    layout = parse_layout({"axes": axes, "counters": counters, "gauges": []})
    words = [w for f in layout.counters.values() for w in range(f.word, f.word + f.size)]
    assert words == list(range(layout.counter_words))


@pytest.mark.parametrize("rule", ["a", "a ==", "a == b == c", "a + == b", "a b == c", "a == 3"])
def test_rules_that_make_no_sense_are_refused(rule: str) -> None:
    with pytest.raises(InputError, match="identity broken_one"):
        parse_identity("broken_one", rule)


def test_a_rule_is_read_with_signs_and_members() -> None:
    identity = parse_identity("x", "a + b[partial] - c == d")
    assert [(t.sign, t.counter, t.member) for t in identity.left] == [
        (1, "a", ""),
        (1, "b", "partial"),
        (-1, "c", ""),
    ]


def test_classes_are_an_axis_of_the_schema() -> None:
    assert CLASS in layout_of(load(SCHEMA)).axes
