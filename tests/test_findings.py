import pytest

from hakprof.findings import findings_of
from hakprof.model import Absence, Absent, Figure, Kind


def figures(**values: float | Absent) -> dict[str, Figure]:
    return {name: Figure(name, value, "ns", Kind.TIMED, "") for name, value in values.items()}


QUIET = figures(ns_per_op=10.0, wall_ns_per_op=10.1)


def test_a_quiet_run_says_nothing() -> None:
    assert findings_of(QUIET, figures(ns_per_op=8.0), 0.01) == ()


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
    (text,) = findings_of(shown, net, floor)
    assert words in text


def test_figures_that_are_absent_find_nothing() -> None:
    gone = Absent(Absence.MISSING)
    shown = figures(ns_per_op=gone, wall_ns_per_op=gone)
    assert findings_of(shown, figures(ns_per_op=gone), None) == ()
