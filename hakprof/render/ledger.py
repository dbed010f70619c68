"""The ledger of claims as text."""

from collections.abc import Sequence

from hakprof import units
from hakprof.claims import ClaimOutcome
from hakprof.ledger import Entry
from hakprof.render.table import table


def render(entries: Sequence[Entry]) -> str:
    """One claim a line, then how many held."""
    if not entries:
        return "no claims yet: hakprof ab ... --expect +10..+20%\n"
    rows = [("claim", "expected", "measured", "outcome", "when", "command")]
    rows += [
        (str(e.claim), e.text, _measured(e), str(e.outcome), e.at, " ".join(e.command))
        for e in entries
    ]
    tally = [
        f"{count} {outcome}"
        for outcome in ClaimOutcome
        if (count := sum(e.outcome is outcome for e in entries))
    ]
    right = (True, True, True, False, False, False)
    return "\n".join([*table(rows, right), "", f"claims: {', '.join(tally)}"]) + "\n"


def sentence(entry: Entry) -> str:
    """`claim 3, +10..+20%: refuted (measured +1.20 % .. +2.10 %)`."""
    return f"claim {entry.claim}, {entry.text}: {entry.outcome} (measured {_measured(entry)})\n"


def _measured(entry: Entry) -> str:
    if entry.speed is None:
        return "nothing"
    low, high = (units.show_percent(end - 1) for end in (entry.speed.low, entry.speed.high))
    return f"{_signed(low)} .. {_signed(high)}"


def _signed(percent: str) -> str:
    return percent if percent.startswith("-") else f"+{percent}"
