"""Factorial designs over two-level switches: which arms to run, and what their costs say of each.

Pure arithmetic on bit masks. An *arm* is a mask of the switches that are on, a *word* a mask of
switches whose effect is asked for: 0b01 the first switch alone, 0b11 how the first two act on each
other. The effect of a word, in the unit of the costs, averaged over the other switches:

    one switch    cost with it on - cost with it off
    two           (both on - only the first) - (only the second - neither): what the pair costs
                  beyond the sum of the two
    more          what the last of them changes of the effect of the others

A fraction runs 1/2, 1/4, ... of all arms; some words are then the same contrast, *aliases* of each
other. The arms of a fraction are closed under exclusive or, so that the arm with all switches off
is always among them (Box, Hunter and Hunter, Statistics for Experimenters, chapters 5 and 6).
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import or_

import numpy as np

from hakprof.stats import FloatArray

MOST_SWITCHES = 8
"""More would be a search through fractions, not a question about a design."""


@dataclass(frozen=True, slots=True)
class Design:
    """The arms that are run for so many switches, the one with all off first."""

    switches: int
    arms: tuple[int, ...]

    @property
    def share(self) -> int:
        """1 is a full factorial, 4 a quarter of one."""
        return (1 << self.switches) // len(self.arms)

    @property
    def resolution(self) -> int:
        """The fewest switches that a word with its alias has together; 0: there are no aliases.

        At 3 a switch is not told apart from a pair, at 4 a pair from a pair, at 5 neither.
        """
        return min((word.bit_count() for word in self._defining()), default=0)

    def aliases(self, word: int) -> tuple[int, ...]:
        """The other words that the arms cannot tell apart from `word`, shortest first."""
        return tuple(sorted((word ^ other for other in self._defining()), key=_rank))

    def _defining(self) -> list[int]:
        """The words that have the same parity on every arm."""
        words = range(1, 1 << self.switches)
        return [w for w in words if all((w & arm).bit_count() % 2 == 0 for arm in self.arms)]


def design(switches: int, most_arms: int) -> Design:
    """All arms where these are not too many, else the fraction that confuses least.

    `most_arms` is lowered to a power of two. ValueError where it cannot tell the switches apart.
    """
    basic = min(switches, most_arms.bit_length() - 1)
    extra = switches - basic
    generators = [word for word in range(1, 1 << basic) if word.bit_count() > 1]
    if switches < 1 or basic < 1 or extra > len(generators):
        raise ValueError(f"{most_arms} arms cannot tell {switches} switches apart")
    choices = combinations(generators, extra)
    best = min(choices, key=lambda chosen: _word_lengths(chosen, basic, switches))
    arms = (_arm(run, best, basic) for run in range(1 << basic))
    return Design(switches, tuple(sorted(arms, key=_rank)))


def _arm(run: int, generators: Sequence[int], basic: int) -> int:
    """Each switch beyond the basic ones is on where an odd number of its generator's is."""
    added = ((run & word).bit_count() % 2 << (basic + i) for i, word in enumerate(generators))
    return run | sum(added)


def _word_lengths(generators: Sequence[int], basic: int, switches: int) -> tuple[int, ...]:
    """How many defining words there are of each length: the smaller, the less is confused."""
    spans = [0]
    for i, generator in enumerate(generators):
        spans += [word ^ generator ^ (1 << (basic + i)) for word in spans]
    lengths = [word.bit_count() for word in spans[1:]]
    return tuple(lengths.count(length) for length in range(1, switches + 1))


@dataclass(frozen=True, slots=True)
class Contrasts:
    """How to turn the costs of arms into effects: `weights[i] @ costs` is that of `words[i]`."""

    words: tuple[int, ...]
    weights: FloatArray  # a row a word, a column an arm
    order: int  # words of more switches were taken to have no effect, or not asked for


def contrasts(design: Design, arms: Sequence[int], order: int) -> Contrasts:
    """Effects of up to `order` switches by least squares over those `arms` that were measured.

    With all arms of the design it is plain averages. Where arms are missing, a switch that is left
    in one position only has no words; where the others cannot be told apart either, the order is
    lowered, to 0 (no words) if not even single switches can.
    """
    varied = functools.reduce(or_, (arm ^ arms[0] for arm in arms), 0)
    for highest in range(min(order, design.switches), 0, -1):
        words = tuple(word for word in _told_apart(design, highest) if word & varied == word)
        columns = np.array([[1.0, *(_sign(word, arm) for word in words)] for arm in arms])
        if words and np.linalg.matrix_rank(columns) == len(words) + 1:
            scale = np.array([2.0 ** word.bit_count() for word in words])
            weights: FloatArray = np.linalg.pinv(columns)[1:] * scale[:, None]
            return Contrasts(words, weights, highest)
    return Contrasts((), np.zeros((0, len(arms))), 0)


def _told_apart(design: Design, order: int) -> Iterator[int]:
    """The words of up to `order` switches, of several aliases the first only."""
    seen = set[int]()
    for word in sorted(range(1, 1 << design.switches), key=_rank):
        if word.bit_count() <= order and word not in seen:
            seen.update(design.aliases(word))
            yield word


def _sign(word: int, arm: int) -> int:
    """+1 or -1: the product over the word's switches of +1 where on, -1 where off."""
    return -1 if (word & ~arm).bit_count() % 2 else 1


def _rank(mask: int) -> tuple[int, tuple[int, ...]]:
    """Few switches before many, first ones before last ones."""
    return mask.bit_count(), tuple(members(mask))


def members(mask: int) -> list[int]:
    """The numbers of the switches in a mask, rising."""
    return [i for i in range(mask.bit_length()) if mask >> i & 1]
