"""Numbers to words and back: the only place where a unit is converted or shown.

Inside, times are nanoseconds, sizes are bytes, rates are per second and shares are fractions.
"""

import math
import re
from collections.abc import Callable
from enum import StrEnum

from hakprof.errors import UsageError

THOUSAND = 1000.0
KIB = 1024.0
NS_PER_S = 1e9


class Unit(StrEnum):
    """What a figure is measured in."""

    NS = "ns"
    BYTES = "B"
    PER_SECOND = "1/s"
    HZ = "Hz"
    FRACTION = "fraction"
    COUNT = "count"
    PER_OP = "per op"
    PER_1000_OPS = "per 1000 ops"
    RATIO = "ratio"


def show(value: float, unit: str) -> str:
    """The value as people read it, with its unit: `7.62 ns`, `131.2 M/s`, `33.8 MiB`, `2.48 %`."""
    shown = _SHOWN.get(unit, show_number)
    return shown(value)


def show_range(low: float, high: float, unit: str) -> str:
    """An interval, the unit named once where both ends share it: `7.581 .. 7.653 ns`."""
    first, last = show(low, unit), show(high, unit)
    number, _, name = first.partition(" ")
    return f"{number} .. {last}" if name == last.partition(" ")[2] else f"{first} .. {last}"


def show_number(value: float) -> str:
    """Four significant digits, thousands grouped from 1000 on, no exponent for usual sizes."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 3 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def show_ns(value: float) -> str:
    """Nanoseconds in the unit that keeps the number below 1000."""
    for limit, divisor, name in (
        (1e3, 1.0, "ns"),
        (1e6, 1e3, "us"),
        (1e9, 1e6, "ms"),
        (math.inf, 1e9, "s"),
    ):
        if abs(value) < limit:
            return f"{show_number(value / divisor)} {name}"
    return f"{value:g} ns"


def show_bytes(value: float) -> str:
    """Bytes with a binary prefix: `33.80 MiB`."""
    names = ("B", "KiB", "MiB", "GiB", "TiB")
    step = 0
    while abs(value) >= KIB and step < len(names) - 1:
        value /= KIB
        step += 1
    return f"{value:,.0f} B" if step == 0 else f"{show_number(value)} {names[step]}"


def show_scaled(value: float) -> str:
    """A rate with a decimal prefix: `131.2 M`."""
    names = ("", "k", "M", "G", "T")
    step = 0
    while abs(value) >= THOUSAND and step < len(names) - 1:
        value /= THOUSAND
        step += 1
    return f"{show_number(value)} {names[step]}".rstrip()


def show_percent(fraction: float) -> str:
    """A fraction as per cent with two decimals below ten: `2.48 %`, `13.1 %`."""
    percent = 100 * fraction
    return f"{percent:.2f} %" if abs(percent) < 10 else f"{percent:.1f} %"  # noqa: PLR2004


_SHOWN: dict[str, Callable[[float], str]] = {
    Unit.NS: show_ns,
    Unit.BYTES: show_bytes,
    Unit.PER_SECOND: lambda value: f"{show_scaled(value)}/s",
    Unit.HZ: lambda value: f"{show_scaled(value)}Hz",
    Unit.FRACTION: show_percent,
    Unit.COUNT: lambda value: f"{value:,.0f}",
}

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min|h)?", re.ASCII)
_SECONDS = {"ms": 1e-3, "s": 1.0, None: 1.0, "min": 60.0, "h": 3600.0}
_LONGEST_S = 2e6  # 23 days: the kernel waits for so many milliseconds at most


def parse_seconds(text: str) -> float:
    """Seconds in `10`, `0.5s`, `250ms`, `2min`, `1h`: above 0. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is no duration", advice="write 10, 0.5s, 250ms, 2min or 1h")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= _LONGEST_S:
        raise UsageError(f"{text!r} is too {'long' if seconds else 'short'} a time")
    return seconds


_COUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kKmMgG]?)", re.ASCII)
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def parse_count(text: str) -> int:
    """A whole number above 0 in `20000000`, `20M`, `1.5k`. Raises UsageError."""
    match = _COUNT.fullmatch(text.strip().replace("_", ""))
    count = float(match[1]) * _FACTORS[match[2].lower()] if match else 0.0
    if count < 1 or count != math.floor(count):
        raise UsageError(
            f"{text!r} is no count", advice="write a whole number such as 200000 or 20M"
        )
    return int(count)


def parse_cpus(text: str) -> frozenset[int]:
    """CPU numbers in `0`, `0,2`, `1-3,5`. Raises UsageError."""
    cpus: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < 1 << 16:
            raise UsageError(f"{text!r} is no list of CPUs", advice="write 0, or 0,2, or 1-3")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)
