"""Switches that an experiment turns on and off, and the allocator of each combination of them.

header, hakmem:header     a variant; several on at once are the library hakmem:header+registry
mimalloc, ./libx.so       another allocator in the place of the base
NAME=VALUE                a setting; off is what the environment says without it
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from hakprof.allocators import find_allocator, peers, variants_of
from hakprof.errors import UsageError
from hakprof.model import Allocator

_SETTING = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)

BUILD = "in a clone scripts/hakprof builds those that core/src/CMakeLists.txt lists"


@dataclass(frozen=True, slots=True)
class Switch:
    """One thing that is turned on; one of the three is set."""

    name: str  # as it is shown
    variant: frozenset[str] = frozenset()  # parts of a variant's name: {"header"}
    library: Allocator | None = None
    setting: Mapping[str, str] = field(default_factory=dict)


def parse_switches(
    texts: Sequence[str], base: Allocator, env: Mapping[str, str]
) -> tuple[Switch, ...]:
    """The switches that the words name; `env` is what the program gets in any case.

    UsageError where a word names nothing, or where two switches cannot be on at once.
    """
    switches = tuple(_parse(text, base) for text in texts)
    own = Switch(base.name, variant=_parts(base.name.partition(":")[2]))
    for switch in switches:
        _refuse_void(switch, own, {**os.environ, **env})
    for first, second in combinations(switches, 2):
        if why := _contradiction(first, second):
            raise UsageError(f"--switch {first.name} and {second.name} contradict: {why}")
    return switches


def allocators_of(
    switches: Sequence[Switch], arms: Sequence[int], base: Allocator, env: Mapping[str, str]
) -> tuple[Allocator, ...]:
    """The allocator of each arm, a mask of the switches that are on.

    UsageError naming the first combination that is not built.
    """
    low = {name: env[name] for s in switches for name in s.setting if name in env}
    return tuple(
        _combine([s for i, s in enumerate(switches) if arm >> i & 1], base, low) for arm in arms
    )


def _combine(on: Sequence[Switch], base: Allocator, low: Mapping[str, str]) -> Allocator:
    library = next((s.library for s in on if s.library), None)
    settings = {name: value for s in on for name, value in s.setting.items()}
    found = library or _variant(base, frozenset().union(*(s.variant for s in on)))
    return replace(found, env={**found.env, **low, **settings})


def _variant(base: Allocator, more: frozenset[str]) -> Allocator:
    """The base with more of its variants on."""
    if not more:
        return base
    name, _, own = base.name.partition(":")
    wanted = _parts(own) | more
    built = next((v for v in variants_of(name) if _parts(v) == wanted), None)
    if built is None:
        raise UsageError(f"{name}:{'+'.join(sorted(wanted))} is not built here", advice=BUILD)
    return find_allocator(f"{name}:{built}")


def _parse(text: str, base: Allocator) -> Switch:
    if "/" not in text.partition("=")[0] and (match := _SETTING.fullmatch(text)):
        return Switch(text, setting={match[1]: match[2]})
    if "/" in text or text.endswith(".so"):
        library = find_allocator(text)
        return Switch(library.name, library=library)
    name = base.name.partition(":")[0]
    variant = text.removeprefix(f"{name}:")
    if _parts(variant) in map(_parts, variants_of(name)):
        return Switch(variant, variant=_parts(variant))
    if text in peers():
        return Switch(text, library=find_allocator(text))
    raise _unknown(text, name)


def _parts(variant: str) -> frozenset[str]:
    return frozenset(part for part in variant.split("+") if part)


def _refuse_void(switch: Switch, base: Switch, env: Mapping[str, str]) -> None:
    """A switch that is on already would be measured as costing nothing."""
    same = switch.library is not None and switch.library.name == base.name
    kept = switch.setting and all(env.get(name) == v for name, v in switch.setting.items())
    if same or kept or switch.variant & base.variant:
        raise UsageError(
            f"--switch {switch.name} changes nothing: it is on without it",
            advice="take it away, or change the base",
        )


def _contradiction(first: Switch, second: Switch) -> str:
    """Why the two cannot be on at once, "" if they can."""
    if names := first.setting.keys() & second.setting.keys():
        return f"both set {', '.join(names)}"
    if parts := first.variant & second.variant:
        return f"both turn {', '.join(sorted(parts))} on"
    if (first.library or second.library) and not (first.setting or second.setting):
        return "only one library can serve the calls"
    return ""


def _unknown(text: str, base: str) -> UsageError:
    variants = variants_of(base)
    near = difflib.get_close_matches(text, [*variants, *peers()], n=1)
    there = f"variants of {base} here: {', '.join(variants) or 'none'}; {BUILD}"
    return UsageError(
        f"no switch {text!r}", advice=f"did you mean {near[0]!r}? {there}" if near else there
    )
