from pathlib import Path

import pytest

from hakprof.findings import Figures, Results, findings_of
from hakprof.model import Absence, Absent, Allocator, Figure, Kind

GLIBC = Allocator("glibc", None)


def figures(**values: float | Absent) -> dict[str, Figure]:
    return {name: Figure(name, value, "ns", Kind.TIMED, "") for name, value in values.items()}


def say(
    shown: Figures,
    nets: Figures,
    floor: float | None,
    adds: tuple[float, ...] = (3.9, 3.86),
    allocator: Allocator = GLIBC,
) -> tuple[str, ...]:
    return findings_of(Results(allocator, shown, nets, {"adds_per_cycle": adds}, floor))


QUIET = figures(ns_per_op=10.0, wall_ns_per_op=10.1)


def test_a_quiet_run_says_nothing() -> None:
    assert say(QUIET, figures(ns_per_op=8.0), 0.01) == ()


@pytest.mark.parametrize(
    ("shown", "net", "floor", "words"),
    [
        (QUIET, {}, 0.2, "by chance alone"),
        (figures(ns_per_op=10.0, wall_ns_per_op=20.0), {}, 0.01, "kept the thread off the CPU"),
        (QUIET, figures(ns_per_op=2.0), 0.01, "the benchmark's own"),
    ],
)
def test_each_finding_is_said_once(
    shown: dict[str, Figure], net: dict[str, Figure], floor: float, words: str
) -> None:
    (text,) = say(shown, net, floor)
    assert words in text


def test_figures_that_are_absent_find_nothing() -> None:
    gone = Absent(Absence.MISSING)
    shown = figures(ns_per_op=gone, wall_ns_per_op=gone)
    assert say(shown, figures(ns_per_op=gone), None) == ()


def test_a_neighbour_on_the_same_core_is_seen_by_what_it_takes() -> None:
    (text,) = say(QUIET, {}, 0.01, adds=(3.87, 3.87, 1.95))
    assert "busy neighbour" in text
    assert say(QUIET, {}, 0.01, adds=()) == ()


@pytest.mark.parametrize(
    ("library", "said"),
    [("libhakmem.so", False), ("libhakmem-header.so", False), ("libhakmem-counters.so", True)],
)
def test_a_build_that_measures_itself_is_not_the_release(library: str, *, said: bool) -> None:
    found = say(QUIET, {}, 0.01, allocator=Allocator("hakmem", Path("/any") / library))
    assert bool(found) is said
    assert all("not those of the release" in text for text in found)
