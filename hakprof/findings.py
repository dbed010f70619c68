"""Sentences about figures: what a reader should know before trusting or quoting them.

Each finding is one function over the figures of an arm: it says what to do next, or is silent. Its
words are the same for every arm it holds for, so that several arms share one sentence.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hakprof.allocators import is_instrumented
from hakprof.model import Absent, Allocator, Figure
from hakprof.units import show_percent

Figures = Mapping[str, Figure]

NOISY = 0.05
"""A noise floor above this hides the differences that allocators are tuned for."""

WAITED = 0.05
"""Share of wall time spent off the CPU from which it is worth a word."""

CROWDED = 0.95
"""A core that gets less done at once than this share of its best shares its units with somebody."""

MOSTLY = 0.5
"""Share of the time per op from which the harness is most of it."""


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured of one arm."""

    allocator: Allocator
    figures: Figures
    nets: Figures  # net of the harness
    values: Mapping[str, tuple[float, ...]]  # by metric, run by run
    noise_floor: float | None

    def value(self, name: str) -> float | None:
        """A figure as a number, None where there is none."""
        return _number(self.figures.get(name))

    def net(self, name: str) -> float | None:
        """The same without the harness."""
        return _number(self.nets.get(name))


def findings_of(arm: Results) -> tuple[str, ...]:
    """What there is to say of one arm."""
    return tuple(text for find in FINDINGS for text in find(arm))


def _number(figure: Figure | None) -> float | None:
    return None if figure is None or isinstance(figure.value, Absent) else figure.value


def _noise(arm: Results) -> Iterator[str]:
    if arm.noise_floor and arm.noise_floor > NOISY:
        yield (
            f"times differ by more than {show_percent(NOISY)} by chance alone: stop other work, "
            "use --pin, or ask for more --runs"
        )


def _waiting(arm: Results) -> Iterator[str]:
    wall, cpu = arm.value("wall_ns_per_op"), arm.value("ns_per_op")
    if wall and cpu and cpu < (1 - WAITED) * wall:
        yield (
            f"other work kept the thread off the CPU for more than {show_percent(WAITED)} of the "
            "time: the throughput is that of its CPU time"
        )


def _harness(arm: Results) -> Iterator[str]:
    whole, net = arm.value("ns_per_op"), arm.net("ns_per_op")
    if whole and net is not None and net < (1 - MOSTLY) * whole:
        yield (
            "more than half of the time per op is the benchmark's own: compare allocators by the "
            "figures net of the harness"
        )


def _crowded(arm: Results) -> Iterator[str]:
    adds = arm.values.get("adds_per_cycle", ())
    if adds and min(adds) < CROWDED * max(adds):
        yield (
            "a busy neighbour took part of the physical core in some runs (additions/cycle fell "
            f"below {CROWDED:.0%} of the best): their times and cycles are its doing too"
        )


def _instrumented(arm: Results) -> Iterator[str]:
    if is_instrumented(arm.allocator):
        yield "this build counts or times inside: its figures are not those of the release"


FINDINGS: tuple[Callable[[Results], Iterator[str]], ...] = (
    _noise,
    _waiting,
    _crowded,
    _harness,
    _instrumented,
)
