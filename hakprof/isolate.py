"""The workflow of `hakprof isolate`: what each of several switches costs, and all of them together.

Every arm of a factorial design is one column of a comparison with the arm that has all switches
off; the effects are contrasts over all arms, so that each run serves every effect.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hakprof import comparison, stat
from hakprof.compare import ALPHA
from hakprof.comparison import ComparisonReport, Contested
from hakprof.contest import Contest
from hakprof.effects import bounded_effects, exact_effects, settled
from hakprof.errors import UsageError
from hakprof.factorial import Contrasts, Design, contrasts, design, members
from hakprof.figures import MODELS
from hakprof.measurement import Tell
from hakprof.model import Absent, Allocator, Figure
from hakprof.report import Column, Outcome, headline
from hakprof.stats import FloatArray, Shift
from hakprof.switches import Switch, allocators_of, parse_switches

SCHEMA = "hakprof.isolate/1"
"""Name and version of the document. A field may be added; one that changes raises the version."""

DEFAULT_BUDGET_S = 180.0
DEFAULT_ARMS = 16
DEFAULT_ORDER = 2

COUNT_REPEATS = 1e-4
"""Exact counts of one build repeat to this or better: two successive slopes may agree by chance."""


INSTRUCTIONS = "instructions_per_op"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one switch costs, or several cost beyond the sum of theirs."""

    switches: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]  # what the design cannot tell it apart from
    time: Shift | None  # ns per op, or per run of a program; None where nothing bounds it
    instructions: Shift | None  # per op, its limits sure; None where an arm was not counted


@dataclass(frozen=True, slots=True)
class IsolateReport:
    """All that `hakprof isolate` has to show."""

    schema: str
    comparison: ComparisonReport  # each arm against the one with all switches off
    switches: tuple[str, ...]
    arms: Mapping[str, tuple[str, ...]]  # by name of the column: the switches that are on
    share: int  # 1: all combinations were to run, 4: a quarter of them
    resolution: int  # of a fraction: `factorial.Design.resolution`
    order: int  # effects of more switches at once are not told
    effects: tuple[Effect, ...]
    base_ns: float | None  # per op or run, net of the harness where there is one
    base_instructions: float | None  # per op, likewise
    needed_s: float | None = None  # how long an interval takes, where the budget was too small


@dataclass(frozen=True, slots=True)
class Experiment:
    """Switches, the design over them, and the allocator of each of its arms."""

    switches: tuple[Switch, ...]
    design: Design
    allocators: tuple[Allocator, ...]
    order: int

    def contrasts(self, arms: Iterable[int]) -> Contrasts:
        """What can be told from these arms."""
        return contrasts(self.design, list(arms), self.order)

    def switches_setting(self, setting: str) -> bool:
        """Whether a NAME=VALUE for all arms is the off position of one of the switches."""
        name = setting.partition("=")[0]
        return any(name in switch.setting for switch in self.switches)

    def named(self, mask: int) -> tuple[str, ...]:
        """The switches of a word or an arm."""
        return tuple(self.switches[i].name for i in members(mask))

    def aliases(self, word: int) -> tuple[tuple[str, ...], ...]:
        """What is not told apart from `word` and has no more switches than are asked for."""
        found = (a for a in self.design.aliases(word) if a.bit_count() <= self.order)
        return tuple(self.named(alias) for alias in found)


def plan_experiment(
    texts: Sequence[str],
    base: Allocator,
    env: Mapping[str, str],
    *,
    arms: int = DEFAULT_ARMS,
    order: int = DEFAULT_ORDER,
) -> Experiment:
    """The experiment over these switches in at most so many arms. UsageError where it is none."""
    switches = parse_switches(texts, base, env)
    try:
        chosen = design(len(switches), arms)
    except ValueError as error:
        raise UsageError(str(error), advice="allow more --arms, or ask in two steps") from error
    return Experiment(switches, chosen, allocators_of(switches, chosen.arms, base, env), order)


def measure(
    request: stat.Request, experiment: Experiment, tell: Tell, *, wall_time: bool = False
) -> Outcome[IsolateReport]:
    """Run every arm, `request.allocators` being those of the experiment, and tell the effects."""

    def enough(contest: Contest) -> bool:
        costs, effects = _time_effects(experiment, contest, ())
        return bool(effects) and settled(effects, float(costs[contest.base].mean()))

    found = comparison.contested(request, tell, wall_time=wall_time, settled=enough)
    return Outcome(_report(experiment, found), found.errors)


def _report(experiment: Experiment, found: Contested) -> IsolateReport:
    compared = comparison.compare(found)
    every = {c.arm.name: c for c in found.report.columns}
    arms = dict(zip(every, experiment.design.arms, strict=True))
    base = every[found.contest.base]
    told = experiment.contrasts(arms[name] for name in arms if name not in compared.excluded)
    _, times = _time_effects(experiment, found.contest, compared.excluded)
    counts = _count_effects(told, [c for n, c in every.items() if n not in compared.excluded])
    bounded = {word: shift for word, shift in times.items() if math.isfinite(shift.bound)}
    return IsolateReport(
        schema=SCHEMA,
        comparison=compared,
        switches=tuple(switch.name for switch in experiment.switches),
        arms={name: experiment.named(arm) for name, arm in arms.items()},
        share=experiment.design.share,
        resolution=experiment.design.resolution,
        order=told.order,
        effects=tuple(
            Effect(
                switches=experiment.named(word),
                aliases=experiment.aliases(word),
                time=bounded.get(word),
                instructions=counts.get(word),
            )
            for word in told.words
        ),
        base_ns=_known(_figure(base, headline(found.report.target))),
        base_instructions=_known(_figure(base, INSTRUCTIONS)),
        needed_s=_needed_s(found.contest, len(told.words)) if len(bounded) < len(times) else None,
    )


def _time_effects(
    experiment: Experiment, contest: Contest, without: Container[str]
) -> tuple[Mapping[str, FloatArray], dict[int, Shift]]:
    """Costs by arm, and effects on them by word; nothing where no block is whole."""
    found = contest.costs(without)
    if found is None:
        return {}, {}
    costs, looks = found
    arms = dict(zip(contest.arms, experiment.design.arms, strict=True))
    there = [name for name in arms if name in costs]
    told = experiment.contrasts(arms[name] for name in there)
    again = costs[contest.again]
    return costs, bounded_effects(told, [costs[name] for name in there], again, looks)


def _count_effects(told: Contrasts, columns: Sequence[Column]) -> dict[int, Shift]:
    """Effects on instructions by word; nothing where the arms were not counted in one way."""
    found = [column.figures[INSTRUCTIONS] for column in columns]
    values = [value for figure in found if (value := _known(figure)) is not None]
    if len(values) < len(found) or len({(f.kind, f.source) for f in found}) != 1:
        return {}
    return exact_effects(told, values, [_error(figure) for figure in found])


def _error(figure: Figure) -> float:
    """What a count may be off by, in its unit."""
    if figure.kind in MODELS or figure.interval is None:
        return max(figure.error, COUNT_REPEATS) * (_known(figure) or 0.0)
    low, high = figure.interval
    return (high - low) / 2


def _figure(column: Column, name: str) -> Figure:
    """Net of the harness where there is such a figure."""
    return column.net.get(name) or column.figures[name]


def _known(figure: Figure) -> float | None:
    return None if isinstance(figure.value, Absent) else figure.value


def _needed_s(contest: Contest, words: int) -> float:
    """How long the fewest blocks take whose signs alone could decide one word among so many."""
    blocks = 2 + math.ceil(math.log2(words / ALPHA))
    return blocks * contest.block_s
