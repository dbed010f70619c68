"""Makes the pages of docs/experiments from real runs; scripts/reproduce sets up and starts this.

docs/experiments/NAME.toml says what is claimed, and which commands of hakprof are run:

    title, about      what the page is called and what is asked
    [runs]            name -> command, without `hakprof`: one of compare and isolate
    [[claims]]        text        the claim in words
                      run, arm    whose figure it is about
                      figure      `speed`: base cost / cost; a metric, net of the harness; or of
                                  isolate `effect_ns`, `effect_instructions`, where arm is the
                                  name of the effect, such as "header x registry"
                      times       what the figure is multiplied by: 2 for an allocation and its free
                      minus, over another arm, whose figure is subtracted or divided by
                      low, high   the range in which the result is claimed to lie

NAME.md is what these commands print, and a verdict on each claim: confirmed where the whole
interval lies in the range, refuted where none of it does. No page is written by hand, nor where a
command failed.
"""

import contextlib
import datetime as dt
import io
import json
import math
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hakprof import isolate, records
from hakprof.claims import Claim, ClaimOutcome
from hakprof.cli.main import main as hakprof
from hakprof.comparison import ComparisonReport
from hakprof.environment import Machine
from hakprof.errors import HakprofError, InputError
from hakprof.isolate import Effect, IsolateReport
from hakprof.metrics import METRICS, TITLES
from hakprof.model import Absent
from hakprof.stats import Ratio
from hakprof.units import show_bytes, show_number, show_range

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "experiments"
SPEED = "speed"
EFFECTS = {"effect_ns": "ns/op", "effect_instructions": "instructions/op"}
OUTCOMES = {
    ClaimOutcome.CONFIRMED: "confirmed",
    ClaimOutcome.REFUTED: "refuted",
    ClaimOutcome.CANNOT_TELL: "cannot tell here",
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One claim, as the head of this module says."""

    text: str
    run: str
    arm: str
    figure: str
    low: float = -math.inf
    high: float = math.inf
    times: float = 1.0
    minus: str = ""
    over: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One page."""

    title: str
    about: str
    runs: Mapping[str, str]
    claims: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What one command printed, and what it measured."""

    command: str
    printed: str
    comparison: ComparisonReport
    effects: Mapping[str, Effect]  # of isolate, by name


def main(names: list[str]) -> int:
    """Make the pages of these names, or all; the exit code is 1 where one could not be made."""
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if unknown := [name for name in names if name not in known]:
        sys.stderr.write(f"reproduce: no experiment {unknown[0]!r}; there are {', '.join(known)}\n")
        return 2
    failed = False
    for name in names or known:
        sys.stderr.write(f"reproduce: {name}\n")
        try:
            text = make(load(FOLDER / f"{name}.toml"), f"scripts/reproduce {name}")
        except HakprofError as error:
            sys.stderr.write(f"reproduce: {name}: no page: {error}\n")
            failed = True
            continue
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    return int(failed)


def load(path: Path) -> Experiment:
    """The experiment that a file describes. InputError naming the file and the place."""
    try:
        return records.from_json(Experiment, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: {error}") from error


def make(experiment: Experiment, command: str) -> str:
    """Run everything, and the page that comes of it."""
    done = {name: run(words) for name, words in experiment.runs.items()}
    return "\n".join(page(experiment, done, command)) + "\n"


def run(words: str) -> Done:
    """One command of hakprof, in this process. HakprofError where it did not end well."""
    with tempfile.TemporaryDirectory(prefix="hakprof-") as folder:
        document = Path(folder) / "document.json"
        printed = io.StringIO()
        name, *rest = shlex.split(words)
        with contextlib.redirect_stdout(printed):
            code = hakprof([name, "--json", str(document), *rest])
        if code:
            raise HakprofError(f"`hakprof {words}` ended with exit code {code}")
        data = json.loads(document.read_text(encoding="utf-8"))
    if data["schema"] == isolate.SCHEMA:
        report = records.from_json(IsolateReport, data)
        effects = {" x ".join(effect.switches): effect for effect in report.effects}
        return Done(words, printed.getvalue(), report.comparison, effects)
    return Done(words, printed.getvalue(), records.from_json(ComparisonReport, data), {})


def page(experiment: Experiment, done: Mapping[str, Done], command: str) -> Iterator[str]:
    """Question, machine, runs, claims with their verdicts."""
    report = next(iter(done.values())).comparison.report
    yield f"# {experiment.title}\n"
    yield f"{experiment.about.strip()}\n"
    day = dt.datetime.fromisoformat(report.started).date()
    yield f"Made by `{command}` on {day}, hakprof {report.hakprof}, and by nothing else.\n"
    yield f"Machine: {describe(report.machine)}.\n"
    for item in done.values():
        yield f"## `hakprof {item.command}`\n"
        yield f"```\n{item.printed.rstrip()}\n```\n"
    yield "## Claims\n"
    yield "| claimed | measured, 95 % | verdict |"
    yield "|---|---|---|"
    for claim in experiment.claims:
        measured = measure(claim, done[claim.run])
        if isinstance(measured, str):
            yield f"| {claim.text} | {measured} | **{OUTCOMES[ClaimOutcome.CANNOT_TELL]}** |"
            continue
        outcome = Claim(claim.low, claim.high).judge(measured)
        yield f"| {claim.text} | {show(claim, measured)} | **{OUTCOMES[outcome]}** |"


def describe(machine: Machine) -> str:
    """What a reader needs to know to judge whether this holds elsewhere."""
    words = [machine.cpu_model, f"{machine.cores} CPUs"]
    words += [f"virtual ({machine.hypervisor})"] if machine.hypervisor else []
    words += [machine.container] if machine.container else []
    words += [show_bytes(machine.memory_bytes)] if machine.memory_bytes else []
    words += [f"governor {machine.governor}"] if machine.governor else []
    words += [f"load {machine.load_1min:.1f}"] if machine.load_1min is not None else []
    return ", ".join([*words, f"Linux {machine.kernel}", machine.libc])


def measure(claim: Expectation, done: Done) -> Ratio | str:
    """The claim's figure with its interval, or why there is none."""
    comparison = done.comparison
    if claim.figure in EFFECTS:
        return effect(claim, done.effects.get(claim.arm))
    if claim.figure == SPEED:
        row = next((row for row in comparison.rows if row.arm == claim.arm), None)
        speed = row.speed if row else None
        return speed or comparison.excluded.get(claim.arm, "too few blocks")
    found = figure(claim, claim.arm, comparison)
    if isinstance(found, str) or not (other := claim.minus or claim.over):
        return found
    beside = figure(claim, other, comparison)
    return beside if isinstance(beside, str) else combined(found, beside, claim)


def effect(claim: Expectation, found: Effect | None) -> Ratio | str:
    """What a switch, or several beyond the sum of theirs, cost."""
    shift = found and (found.time if claim.figure == "effect_ns" else found.instructions)
    return Ratio(shift.value, shift.low, shift.high) if shift else "not measured here"


def combined(found: Ratio, beside: Ratio, claim: Expectation) -> Ratio | str:
    """The difference or the quotient of two figures, as far apart as they may be."""
    if claim.minus:
        low, high = found.low - beside.high, found.high - beside.low
        return Ratio(found.value - beside.value, low, high)
    if beside.low <= 0:
        return f"{claim.over} has none"
    return Ratio(found.value / beside.value, found.low / beside.high, found.high / beside.low)


def figure(claim: Expectation, arm: str, comparison: ComparisonReport) -> Ratio | str:
    """A metric of an arm, net of the harness, and what it may be off by; or why there is none."""
    if arm in comparison.excluded:
        return f"{arm}: {comparison.excluded[arm]}"
    column = next((c for c in comparison.report.columns if c.arm.name == arm), None)
    if column is None:
        raise InputError(f"{claim.run}: there is no arm {arm!r}")
    found = column.net.get(claim.figure) or column.figures.get(claim.figure)
    if found is None or isinstance(found.value, Absent):
        return f"{claim.figure}: not measured here"
    low, high = found.interval or (found.value, found.value)
    off = found.error * abs(found.value)
    return Ratio(*(claim.times * end for end in (found.value, low - off, high + off)))


def show(claim: Expectation, measured: Ratio) -> str:
    """`1.132 .. 1.180 times the speed`, `31.2 .. 33.4 ns more than hakmem (time per op, 2 ops)`."""
    numbers = f"{show_number(measured.low)} .. {show_number(measured.high)}"
    if claim.figure == SPEED:
        return f"{numbers} times the speed"
    if claim.figure in EFFECTS:
        return f"{numbers} {EFFECTS[claim.figure]}"
    title = TITLES[claim.figure] + (f", {claim.times:g} ops" if claim.times != 1 else "")
    if claim.over:
        return f"{numbers} times {claim.over} ({title})"
    unit = next(metric.unit for metric in METRICS if metric.name == claim.figure)
    more = f" more than {claim.minus}" if claim.minus else ""
    return f"{show_range(measured.low, measured.high, unit)}{more} ({title})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
