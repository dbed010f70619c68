"""Claims about a change of speed, written down before the run and judged after it.

+10..+20%    between 10 and 20 % faster
+10%         at least 10 % faster
-5%          at least 5 % slower
-30..-60%    between 30 and 60 % slower; -60..-30% is the same
-1..+1%      no difference worth more than 1 %
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from hakprof.errors import UsageError
from hakprof.stats import Ratio


class ClaimOutcome(StrEnum):
    """What became of a claim."""

    OPEN = "open"  # written down, and no result came: the run was broken off
    CONFIRMED = "confirmed"  # the whole interval lies within the claim
    REFUTED = "refuted"  # it lies outside
    CANNOT_TELL = "cannot tell"  # it crosses a border of the claim


@dataclass(frozen=True, slots=True)
class Claim:
    """The range in which the speed ratio new/base is said to lie; 1.1 = 10 % faster."""

    low: float
    high: float

    def judge(self, speed: Ratio) -> ClaimOutcome:
        """Compare with the interval that was measured."""
        if self.low <= speed.low and speed.high <= self.high:
            return ClaimOutcome.CONFIRMED
        if speed.high < self.low or self.high < speed.low:
            return ClaimOutcome.REFUTED
        return ClaimOutcome.CANNOT_TELL


_NUMBER = r"([+-]?\d+(?:\.\d+)?)\s*%?"
_CLAIM = re.compile(rf"\s*{_NUMBER}(?:\s*\.\.\s*{_NUMBER})?\s*", re.ASCII)


def parse_claim(text: str) -> Claim:
    """Read a claim as the module's head shows them. Raises UsageError."""
    match = _CLAIM.fullmatch(text)
    if not match or not text.rstrip().endswith("%"):
        raise _unclear(text)
    first = float(match[1])
    if match[2] is None:
        if first == 0:
            raise _unclear(text)
        low, high = (first, math.inf) if first > 0 else (-100.0, first)
    else:
        low, high = first, float(match[2])
        if high < low < 0:  # from the smaller change to the greater one, as in +10..+20%
            low, high = high, low
    if not -100 <= low < high:  # noqa: PLR2004 (per cent)
        raise _unclear(text)
    return Claim(1 + low / 100, 1 + high / 100)


def _unclear(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is no claim that a run could refute",
        advice="write +10..+20%, +10% (at least so much faster), -5%, or -1..+1%",
    )
