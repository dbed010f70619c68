"""Sums by key, for columns of which few values differ: ten times faster than sorting them."""

import numpy as np
from numpy.typing import NDArray

from hakprof.perfdata.layout import Words
from hakprof.profile import Addresses, Floats, Ints

PIECE = 1 << 16
"""Rows looked at at once: what is made of them stays in the processor's cache."""

SLOT_BITS = 14
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""One table each; a key whose slot another one has goes on to the next table."""


def summed(
    keys: Words, period: NDArray[np.uint64] | None, each: int
) -> tuple[Addresses, Floats, Ints]:
    """The distinct keys in any order, the sum of the periods (or `each`) and the number of each."""
    tables = [_Table(multiplier) for multiplier in MULTIPLIERS]
    rest: list[tuple[Words, Floats]] = []
    for at in range(0, keys.size, PIECE):
        part = keys[at : at + PIECE]
        weight = None if period is None else period[at : at + PIECE].astype(np.float64)
        for table in tables:
            left = table.add(part, weight)
            part = part[left]
            weight = None if weight is None else weight[left]
            if not part.size:
                break
        else:
            rest.append((part, np.full(part.size, float(each)) if weight is None else weight))
    columns = [table.columns(each if period is None else None) for table in tables]
    if rest:
        columns.append(_sorted_sums(rest))
    values, weights, counts = (np.concatenate(column) for column in zip(*columns, strict=True))
    return values, weights, counts


class _Table:
    """Each key has the slot that its hash says, if it came first."""

    def __init__(self, multiplier: int) -> None:
        slots = 1 << SLOT_BITS
        self._multiplier = np.uint64(multiplier)
        self._owner = np.zeros(slots, np.uint64)
        self._weight = np.zeros(slots)
        self._count = np.zeros(slots, np.int64)

    def add(self, keys: Words, weight: Floats | None) -> Ints:
        """Add the keys that own their slots; the rows of those that do not."""
        slot = (keys * self._multiplier >> np.uint64(64 - SLOT_BITS)).view(np.int64)
        other = self._owner[slot] != keys
        if other.any():
            free = self._count[slot] == 0
            self._owner[slot[free]] = keys[free]  # of several the last one has it
            other = self._owner[slot] != keys
        left = np.flatnonzero(other)
        if left.size:
            slot = slot[~other]
            weight = None if weight is None else weight[~other]
        self._count += np.bincount(slot, minlength=self._count.size)
        if weight is not None:
            self._weight += np.bincount(slot, weight, self._count.size)
        return left

    def columns(self, each: int | None) -> tuple[Words, Floats, Ints]:
        """Keys, weights (each the same if `each` says which) and counts of the slots taken."""
        taken = np.flatnonzero(self._count)
        count = self._count[taken]
        weight = self._weight[taken] if each is None else count.astype(np.float64) * float(each)
        return self._owner[taken], weight, count


def _sorted_sums(parts: list[tuple[Words, Floats]]) -> tuple[Words, Floats, Ints]:
    values, which, count = np.unique(
        np.concatenate([keys for keys, _ in parts]), return_inverse=True, return_counts=True
    )
    weight = np.bincount(which, np.concatenate([weights for _, weights in parts]), values.size)
    return values, weight.astype(np.float64), count.astype(np.int64)
