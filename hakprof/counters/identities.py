"""The laws that counters obey at rest: checked on every dump, the broken one is named.

An identity is `TERM + TERM - TERM == TERM ...`; a term is the name of a counter or gauge, or
NAME[MEMBER] for one member of an axis. If every term is split by size class, the identity holds
for each class on its own; all other axes are summed up.
"""

import re
from dataclasses import dataclass

import numpy as np

from hakprof.counters.dump import Dump, State, Words, values
from hakprof.counters.layout import Field, Layout, is_looked_up
from hakprof.errors import InputError
from hakprof.schema import Schema

TERM = re.compile(r"\s*([+-]?)\s*([a-z_][a-z0-9_]*)(?:\[([a-z0-9_]+)\])?")
CLASS = "class"


@dataclass(frozen=True, slots=True)
class Term:
    """One summand."""

    sign: int
    counter: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Two sums that are equal."""

    name: str
    rule: str
    left: tuple[Term, ...]
    right: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Breach:
    """Where an identity does not hold; `index` is the size class, None if it is for all."""

    index: int | None
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one identity."""

    identity: Identity
    breaches: tuple[Breach, ...]
    missing: tuple[str, ...] = ()
    """counters that the dump does not have, or that no look gave: it cannot be checked"""

    @property
    def holds(self) -> bool:
        """Checked and found true."""
        return not self.breaches and not self.missing


def parse_identity(name: str, rule: str) -> Identity:
    """Read one rule of a schema. Raises InputError."""
    sides = rule.split("==")
    if len(sides) != 2:  # noqa: PLR2004 # left and right
        raise InputError(f"identity {name}: {rule!r} is not of the form LEFT == RIGHT")
    return Identity(name, rule, _terms(name, sides[0]), _terms(name, sides[1]))


def _terms(name: str, side: str) -> tuple[Term, ...]:
    terms: list[Term] = []
    at = 0
    side = side.rstrip()
    while at < len(side):
        match = TERM.match(side, at)
        if match is None or (terms and not match[1]):
            raise InputError(f"identity {name}: cannot read {side[at:].strip()!r}")
        terms.append(Term(-1 if match[1] == "-" else 1, match[2], match[3] or ""))
        at = match.end()
    if not terms:
        raise InputError(f"identity {name}: one side is empty")
    return tuple(terms)


def check_all(schema: Schema, dump: Dump) -> list[Check]:
    """Check every identity of the schema on the whole history of the process."""
    history = dump.history()
    unseen = _unseen(schema, dump)
    return [
        _check(parse_identity(name, rule), dump, history, unseen)
        for name, rule in schema.identities.items()
    ]


def _unseen(schema: Schema, dump: Dump) -> frozenset[str]:
    """Gauges that only a look at the heap gives, if none was taken."""
    looks = dump.layout.gauges.get("looks")
    if looks is not None and dump.gauges[looks.word]:
        return frozenset()
    return frozenset(row.name for row in schema.counters.values() if is_looked_up(row))


def _check(identity: Identity, dump: Dump, counts: Words, unseen: frozenset[str]) -> Check:
    layout, gauges = dump.layout, dump.gauges
    terms = identity.left + identity.right
    fields = {term.counter: _field(layout, term.counter) for term in terms}
    missing = tuple(name for name, field in fields.items() if field is None or name in unseen)
    if missing:
        return Check(identity, (), missing)
    by_class = all(
        field is not None and any(axis.name == CLASS for axis in field.axes)
        for field in fields.values()
    )
    left = _sum(identity.left, layout, counts, gauges, by_class=by_class)
    right = _sum(identity.right, layout, counts, gauges, by_class=by_class)
    breaches = tuple(
        Breach(index if by_class else None, a, b)
        for index, (a, b) in enumerate(zip(left, right, strict=True))
        if a != b
    )
    return Check(identity, breaches)


def _field(layout: Layout, name: str) -> Field | None:
    return layout.counters.get(name) or layout.gauges.get(name)


def _sum(
    terms: tuple[Term, ...], layout: Layout, counts: Words, gauges: Words, *, by_class: bool
) -> list[int]:
    sums = [_numbers(term, layout, counts, gauges, by_class=by_class) for term in terms]
    return [
        sum(term.sign * number for term, number in zip(terms, row, strict=True))
        for row in zip(*sums, strict=True)
    ]


def _numbers(
    term: Term, layout: Layout, counts: Words, gauges: Words, *, by_class: bool
) -> list[int]:
    """The term for each class, or one number, in Python's integers: they may go below zero."""
    field = layout.counters.get(term.counter)
    words = counts if field else gauges
    field = field or layout.gauges[term.counter]
    axes = list(field.axes)
    numbers = values(words, field)
    if term.member:
        position, member = _find_member(field, term.member)
        numbers = numbers[(slice(None),) * position + (member,)]
        axes.pop(position)
    others = tuple(i for i, axis in enumerate(axes) if not (by_class and axis.name == CLASS))
    return [int(number) for number in np.atleast_1d(numbers.sum(axis=others))]


def _find_member(field: Field, member: str) -> tuple[int, int]:
    for position, axis in enumerate(field.axes):
        if member in axis.members:
            return position, axis.members.index(member)
    raise InputError(f"{field.name} has no member {member}")


def verdict(check: Check, dump: Dump) -> str:
    """One line about a check that a reader can act on."""
    identity = check.identity
    if check.missing:
        return f"{identity.name}: cannot be checked, the dump has no {', '.join(check.missing)}"
    if check.holds:
        return f"{identity.name}: holds"
    worst = max(check.breaches, key=lambda breach: abs(breach.left - breach.right))
    where = "" if worst.index is None else f" in class {worst.index}"
    off = f"{identity.name}: {worst.left} against {worst.right}{where} ({identity.rule})"
    if len(check.breaches) > 1:
        off += f", and in {len(check.breaches) - 1} other classes"
    return f"{off}; {excuse(dump)}" if excuse(dump) else f"{off}: BROKEN"


def excuse(dump: Dump) -> str:
    """Why identities may be off by what was in flight; "" if the process was at rest."""
    if dump.threads_sharing:
        return f"{dump.threads_sharing} threads had no block of their own, their hits are too low"
    if dump.threads_lost:
        return f"the lists of {dump.threads_lost} threads were lost in a fork"
    if dump.state is State.RUNNING:
        return "the process was running"
    if dump.state is State.DIED:
        return "the process died at work"
    if dump.others_running:
        return f"{dump.others_running} other threads were running at exit"
    return ""
