"""Sentences about figures: what a reader should know before trusting or quoting them.

Each finding is one function over the figures of an arm; it names the figure it rests on and what
to do next, or it is silent.
"""

from collections.abc import Callable, Iterator, Mapping

from hakprof.model import Absent, Figure, Target
from hakprof.units import show_percent

Figures = Mapping[str, Figure]

NOISY = 0.05
"""A noise floor above this hides the differences that allocators are tuned for."""

WAITED = 0.05
"""Share of wall time spent off the CPU from which it is worth a word."""

MOSTLY = 0.5
"""Share of the time per op from which the harness is most of it."""


def findings_of(
    target: Target, figures: Figures, net: Figures, noise_floor: float | None
) -> tuple[str, ...]:
    """What there is to say of one arm."""
    context = _Context(target, figures, net, noise_floor)
    return tuple(text for find in FINDINGS for text in find(context))


class _Context:
    """The figures of one arm, by name, as plain numbers."""

    def __init__(
        self, target: Target, figures: Figures, net: Figures, noise_floor: float | None
    ) -> None:
        self.target = target
        self.noise_floor = noise_floor
        self._figures = figures
        self._net = net

    def value(self, name: str) -> float | None:
        """The figure's value, None where there is none."""
        return _number(self._figures.get(name))

    def net(self, name: str) -> float | None:
        """The same without the harness."""
        return _number(self._net.get(name))


def _number(figure: Figure | None) -> float | None:
    return None if figure is None or isinstance(figure.value, Absent) else figure.value


def _noise(arm: _Context) -> Iterator[str]:
    if arm.noise_floor and arm.noise_floor > NOISY:
        yield (
            f"times differ by {show_percent(arm.noise_floor)} by chance: differences below that "
            "cannot be seen; stop other work, use --pin, or ask for more --runs"
        )


def _waiting(arm: _Context) -> Iterator[str]:
    wall, cpu = arm.value("wall_ns_per_op"), arm.value("ns_per_op")
    if arm.target.is_benchmark and arm.target.threads == 1 and wall and cpu:
        waited = 1 - cpu / wall
        if waited > WAITED:
            yield (
                f"the thread was kept off the CPU {show_percent(waited)} of the time by others: "
                "the throughput is that of its CPU time"
            )


def _harness(arm: _Context) -> Iterator[str]:
    whole, net = arm.value("ns_per_op"), arm.net("ns_per_op")
    if whole and net is not None and net < (1 - MOSTLY) * whole:
        yield (
            f"{show_percent(1 - net / whole)} of the time per op is the benchmark's own: compare "
            "allocators by the figures net of the harness"
        )


FINDINGS: tuple[Callable[[_Context], Iterator[str]], ...] = (_noise, _waiting, _harness)
