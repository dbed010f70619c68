"""Call chains: each distinct one is kept once, under a key that is a hash of all its frames.

The hash of a chain is a polynomial of its frames, taken from sums over the whole block that it lies
in: equal chains have equal hashes wherever they lie, and no frame is copied to find that out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError
from hakprof.perfdata.layout import Words

Ints = NDArray[np.int64]

MAX_FRAMES = 1 << 27
"""The most frames that the distinct chains of a file may have, 8 bytes each."""

BASE = 0x9E3779B97F4A7C15
BASE_INVERSE = pow(BASE, -1, 1 << 64)
MIXER = np.uint64(0xBF58476D1CE4E5B9)
SLOT_BITS = 16


@dataclass(frozen=True, slots=True)
class Chains:
    """Frame i of chain k is words[starts[k] + i], leaf first.

    Marks (layout.CONTEXT_MODES) stand before each change of mode.
    """

    words: Words
    starts: Ints
    lengths: Ints

    def frames(self, rows: Ints) -> tuple[Words, Ints]:
        """The frames of some chains, one chain behind the other, and where each begins and ends."""
        lengths = self.lengths[rows]
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        spots = np.arange(offsets[-1]) + np.repeat(self.starts[rows] - offsets[:-1], lengths)
        return self.words[spots], offsets


@dataclass(frozen=True, slots=True)
class DistinctChains:
    """The chains of a recording, sorted by key."""

    keys: Words
    chains: Chains

    def frames(self, keys: Words) -> tuple[Words, Ints]:
        """As `Chains.frames`."""
        return self.chains.frames(np.searchsorted(self.keys, keys).astype(np.int64))


class ChainTable:
    """Collects distinct chains. A table of recent keys spares looking each of them up."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._recent = np.zeros(1 << SLOT_BITS, np.uint64)  # a key whose slot this is not
        self._recent[0] = MIXER
        self._powers = _Powers()
        self._keys: list[Words] = []
        self._frames: list[Words] = []
        self._lengths: list[Ints] = []
        self._size = 0

    def add(self, chains: Chains) -> Words | None:
        """Keys of the chains of some samples; None if they have none."""
        if not chains.starts.size:
            return None
        keys = self._powers.hashes(chains)
        slots = keys >> np.uint64(64 - SLOT_BITS)
        missed = np.flatnonzero(self._recent[slots] != keys)
        if missed.size:
            distinct, first = np.unique(keys[missed], return_index=True)
            self._recent[distinct >> np.uint64(64 - SLOT_BITS)] = distinct
            fresh = [i for i, key in enumerate(distinct.tolist()) if key not in self._known]
            self._keep(distinct[fresh], chains, missed[first[fresh]])
        return keys

    def _keep(self, keys: Words, chains: Chains, rows: Ints) -> None:
        frames, _ = chains.frames(rows)
        self._size += frames.size
        if self._size > MAX_FRAMES:
            raise InputError(f"its distinct call chains have more than {MAX_FRAMES} frames")
        self._known.update(keys.tolist())
        self._keys.append(keys)
        self._frames.append(frames)
        self._lengths.append(chains.lengths[rows])

    def distinct(self) -> DistinctChains:
        """All distinct chains."""
        keys = np.concatenate([np.empty(0, np.uint64), *self._keys])
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        frames = np.concatenate([np.empty(0, np.uint64), *self._frames])
        order = np.argsort(keys)
        starts = np.cumsum(lengths) - lengths
        return DistinctChains(keys[order], Chains(frames, starts[order], lengths[order]))


class _Powers:
    """Powers of BASE and of its inverse, as many as the largest block so far has words."""

    def __init__(self) -> None:
        self._up = self._down = np.empty(0, np.uint64)

    def hashes(self, chains: Chains) -> Words:
        """A hash of each chain."""
        size = chains.words.size
        if size >= self._up.size:
            self._up, self._down = (_powers(base, size + 1) for base in (BASE, BASE_INVERSE))
        sums = np.empty(size + 1, np.uint64)
        sums[0] = 0
        np.multiply(chains.words, self._up[:size], out=sums[1:])
        np.cumsum(sums, out=sums)
        hashes: Words = sums[chains.starts + chains.lengths] - sums[chains.starts]
        hashes *= self._down[chains.starts]
        hashes += chains.lengths.view(np.uint64) * MIXER
        hashes *= MIXER
        return hashes


def _powers(base: int, count: int) -> Words:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    powers: Words = np.cumprod(factors)
    return powers
