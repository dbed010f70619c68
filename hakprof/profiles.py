"""Profiles: named sets of hakmem's switches, each with the health that it promises.

`data/profiles/NAME.toml` describes one:

    summary       one line
    library       the build that it needs, "hakmem" if left out
    [env]         the switches
    [health]      target, args, threads: what `hakprof health` runs
                  speed_least: throughput, times that of glibc in the same run, at least
                  memory_most: peak RSS, times that of glibc, at most

Wherever an allocator is named, `hakmem@NAME` is hakmem with that profile.
"""

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hakprof import allocators, records
from hakprof.errors import InputError, UsageError
from hakprof.model import Allocator

FOLDER = Path(__file__).resolve().parent / "data" / "profiles"
SIGN = "@"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a healthy profile does."""

    target: str
    speed_least: float
    memory_most: float
    args: tuple[str, ...] = ()
    threads: int = 1


@dataclass(frozen=True, slots=True)
class SwitchSet:
    """One profile as its file describes it."""

    name: str
    summary: str
    env: Mapping[str, str]
    health: Promise
    library: str = "hakmem"

    @property
    def allocator(self) -> Allocator:
        """The build with these switches. UsageError where the build is not on this machine."""
        found = allocators.find_allocator(self.library)
        return replace(found, env={**found.env, **self.env}, title=f"hakmem{SIGN}{self.name}")


@functools.cache
def profiles() -> Mapping[str, SwitchSet]:
    """Every profile by name. InputError if a file is broken."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.toml"))}


def load(path: Path) -> SwitchSet:
    """The profile that a file describes. InputError naming the file and the place."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return records.from_json(SwitchSet, {"name": path.stem, **table})
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: {error}") from error


def find_profile(name: str) -> SwitchSet:
    """The profile of that name. UsageError with the nearest one."""
    if name in profiles():
        return profiles()[name]
    near = difflib.get_close_matches(name, profiles(), n=1, cutoff=0.4)
    raise UsageError(
        f"no profile {name!r}",
        advice=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(profiles())}",
    )


def find_allocator(name: str) -> Allocator:
    """What `allocators.find_allocator` knows, and `hakmem@PROFILE`."""
    library, sign, profile = name.partition(SIGN)
    if not sign or "/" in name:
        return allocators.find_allocator(name)
    found = find_profile(profile)
    if library != "hakmem":
        raise UsageError(f"profiles are hakmem's, not {library}'s", advice=f"hakmem@{profile}")
    return found.allocator
