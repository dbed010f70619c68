"""`hakprof ab`: one change, before and after, and whether it did what was claimed."""

import sys
from typing import Annotated

import typer

from hakprof import comparison, stat
from hakprof.claims import Claim, ClaimOutcome, parse_claim
from hakprof.cli import options
from hakprof.cli.progress import progress
from hakprof.cli.shared import ProgramCommand, application, choose_work, finish, show
from hakprof.compare import Verdicts
from hakprof.errors import UsageError
from hakprof.ledger import Entry, Ledger
from hakprof.profiles import find_allocator
from hakprof.render import comparison as text
from hakprof.render import json_
from hakprof.render import ledger as ledger_text
from hakprof.units import parse_seconds
from hakprof.work import Size

app = application()


@app.command(cls=ProgramCommand)
def ab(
    *,
    ctx: typer.Context,
    target: options.Target = None,
    base: Annotated[
        str, typer.Option(metavar="A", help="Allocator before the change: name or path.")
    ] = "",
    new: Annotated[
        str, typer.Option(metavar="B", help="Allocator after the change: name or path.")
    ] = "",
    expect: Annotated[
        str,
        typer.Option(metavar="CLAIM", help="The claim: +10..+20%, +10% (at least), -5%, -1..+1%."),
    ] = "",
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Show all claims and what became of them.")
    ] = False,
    budget: options.Budget = "60s",
    runs: options.Blocks = None,
    warmup: options.Warmup = 1,
    threads: options.Threads = None,
    iters: options.Iters = None,
    pin: options.Pin = None,
    env: options.Env = None,
    wall: options.Wall = False,
    json: options.Json = None,
) -> None:
    """Judge one change: --base against --new, and the claim made for it.

    The claim is written into the ledger of the run store before the first run, what became of it
    after the last: confirmed, refuted, or cannot tell.
    """
    if ledger:
        show(ledger_text.render(Ledger().entries()))
        return
    if not base or not new:
        raise UsageError("two allocators are needed", advice="name them with --base and --new")
    claim = parse_claim(expect) if expect else None
    command = ("hakprof", "ab", *sys.argv[2:])
    request = stat.Request(
        command=command,
        work=choose_work(target, ctx.obj, Size(threads, iters), env, parts=comparison.PARTS),
        allocators=(find_allocator(base), find_allocator(new)),
        runs=runs,
        budget_s=parse_seconds(budget),
        warmup=warmup,
        cpus=pin,
    )
    entry = Ledger().claim(expect, command) if claim else None
    with progress() as tell:
        outcome = comparison.measure(request, tell, wall_time=wall, settled=_settled(claim))
    show(text.render(outcome.report))
    if claim and entry:
        show(ledger_text.sentence(_settle(claim, entry, outcome.report)))
    finish(outcome.errors, [(json, lambda: json_.render(outcome.report))])


def _settled(claim: Claim | None) -> comparison.Settled:
    """A claim is settled when it is confirmed or refuted; without one the verdict must be."""

    def settled(verdicts: Verdicts) -> bool:
        if claim is None:
            return verdicts.settled
        return claim.judge(verdicts.arms[0].speed) is not ClaimOutcome.CANNOT_TELL

    return settled


def _settle(claim: Claim, entry: Entry, result: comparison.ComparisonReport) -> Entry:
    speed = result.rows[0].speed if result.rows else None
    outcome = claim.judge(speed) if speed else ClaimOutcome.CANNOT_TELL
    return Ledger().settle(entry, outcome, speed, result.report.run)
