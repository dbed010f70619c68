"""Which allocators there are, where they lie, and what exactly they are.

An allocator that hakprof knows by name is one file, `data/peers/NAME.toml`:

    summary           one line for `hakprof list`
    files             patterns of its library's file name, best first
    install           how to get it, in words
    native            true if it is installed inside this package
    preloaded         false for the C library's own, which needs no preload
    variants          pattern of further builds, chosen as NAME:VARIANT, or NAME:ONE+OTHER
    private           allocation functions that no other allocator takes over, such as mi_malloc
    version_pattern   regular expression, over the library's bytes, whose group is the version
    version_function  function without arguments that returns the version, a text or a number
    instrumented      variants that measure themselves: their speed is not the allocator's
    delegates         true if it hands calls on to glibc by design
"""

import difflib
import functools
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from hakprof import elf, native, process
from hakprof.errors import InputError, UsageError
from hakprof.model import Allocator
from hakprof.records import from_json

PEERS = Path(__file__).resolve().parent / "data" / "peers"
LOADER_CONFIGURATION = Path("/etc/ld.so.conf")
LOADER_DEFAULTS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")

VERSION_LIMIT_BYTES = 64 << 20
VERSION_SCRIPT = """
import ctypes, sys
function = ctypes.CDLL(sys.argv[1] or None)[sys.argv[2]]
function.restype = ctypes.c_void_p
answer = function() or 0
print(answer if answer < 1 << 20 else ctypes.string_at(answer).decode())
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of `data/peers`: see the head of this module."""

    name: str
    summary: str
    files: tuple[str, ...]
    install: str
    native: bool = False
    preloaded: bool = True
    variants: str = ""
    private: tuple[str, ...] = ()
    version_pattern: str = ""
    version_function: str = ""
    instrumented: tuple[str, ...] = ()
    delegates: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """An allocator by name, whether or not this machine has it."""

    name: str
    summary: str
    allocator: Allocator | None
    install: str


@functools.cache
def peers() -> Mapping[str, Peer]:
    """Every allocator with a name, by that name."""
    found = {}
    for path in sorted(PEERS.glob("*.toml")):
        row = tomllib.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = from_json(Peer, {"name": path.stem, **row}, path.name)
    return found


def find_allocator(name_or_path: str) -> Allocator:
    """What `--alloc` names: a name, NAME:VARIANT, a library's path, or TITLE=PATH.

    Raises UsageError.
    """
    title, _, titled = name_or_path.partition("=")
    if title and titled and "/" not in title:
        return replace(_from_path(Path(titled)), title=title)
    if "/" in name_or_path or name_or_path.endswith(".so"):
        return _from_path(Path(name_or_path))
    name, _, variant = name_or_path.partition(":")
    peer = peers().get(name)
    if peer is None:
        raise _unknown(name_or_path)
    if not peer.preloaded and not variant:
        return Allocator(name=name, library=None, version=_version(peer, None))
    if variant:
        variant = _built(peer, variant)
        built = _native_libraries() / peer.variants.replace("*", variant)
        return _allocator(f"{name}:{variant}", built, peer)
    path = next(_candidates(peer), None)
    if path is None:
        raise UsageError(f"allocator {name_or_path!r} is not on this machine", advice=peer.install)
    return _allocator(name_or_path, path, peer)


def known_allocators() -> tuple[Known, ...]:
    """All names that `find_allocator` takes, with variants, in order of name."""
    rows = []
    for peer in peers().values():
        for name in (peer.name, *(f"{peer.name}:{variant}" for variant in _variants(peer))):
            try:
                found = find_allocator(name)
            except UsageError:
                found = None
            rows.append(Known(name, peer.summary, found, peer.install))
    return tuple(rows)


def name_of(library: Path) -> str:
    """The name of the allocator whose library this is, or the file's own name."""
    for peer in peers().values():
        if any(fnmatchcase(library.name, pattern) for pattern in peer.files):
            return peer.name
        if peer.variants and fnmatchcase(library.name, peer.variants):
            return f"{peer.name}:{_variant_of(library, peer)}"
    return library.name


def peer_of(allocator: Allocator) -> Peer | None:
    """The row of `data/peers` that describes it; None for a library nobody knows."""
    name = allocator.name if allocator.library is None else name_of(allocator.library)
    return peers().get(name.partition(":")[0])


def is_instrumented(allocator: Allocator) -> bool:
    """Whether this build measures itself, so that its speed is not the allocator's."""
    if allocator.library is None or not (peer := peer_of(allocator)):
        return False
    variant = name_of(allocator.library).partition(":")[2]
    return not set(peer.instrumented).isdisjoint(variant.split("+"))


def variants_of(name: str) -> list[str]:
    """The variants of an allocator that are on this machine: `["counters", "header+registry"]`."""
    peer = peers().get(name)
    return _variants(peer) if peer else []


def _unknown(name: str) -> UsageError:
    names = [known.name for known in known_allocators()]
    near = difflib.get_close_matches(name, names, n=1)
    return UsageError(
        f"no allocator {name!r}",
        advice=f"did you mean {near[0]!r}?"
        if near
        else f"there are {', '.join(names)}, any library by its path, and TITLE=PATH",
    )


def _variants(peer: Peer) -> list[str]:
    if not peer.variants:
        return []
    return [_variant_of(path, peer) for path in sorted(_native_libraries().glob(peer.variants))]


def _variant_of(library: Path, peer: Peer) -> str:
    before, after = peer.variants.split("*")
    return library.name.removeprefix(before).removesuffix(after)


def _built(peer: Peer, variant: str) -> str:
    """The name of the library that has the parts of `variant`, which may stand in any order."""
    parts = variant.split("+")
    built = {frozenset(name.split("+")): name for name in _variants(peer)}
    known = sorted(frozenset().union(*built))
    if unknown := [part for part in parts if part not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        there = ", ".join(known) or "none"
        raise UsageError(
            f"{peer.name} has no variant {unknown[0]!r} here",
            advice=f"did you mean '{peer.name}:{near[0]}'?" if near else f"there are: {there}",
        )
    if len(set(parts)) < len(parts):
        raise UsageError(f"{peer.name}:{variant} names a variant twice")
    if frozenset(parts) not in built:
        raise UsageError(
            f"no library of {peer.name} is {' and '.join(parts)} at once",
            advice=f"there are: {', '.join(sorted(built.values()))}",
        )
    return built[frozenset(parts)]


def _native_libraries() -> Path:
    return native.NATIVE / "lib"


def _candidates(peer: Peer) -> Iterator[Path]:
    """Libraries of this machine's architecture, the best first."""
    folders = [_native_libraries()] if peer.native else library_folders()
    for pattern in peer.files:
        for folder in folders:
            for path in sorted(folder.glob(pattern), key=_by_version, reverse=True):
                if _problem(path) == "":
                    yield path.resolve()


def _by_version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.name.partition(".so")[2]))


def library_folders() -> list[Path]:
    """Where the loader looks: LD_LIBRARY_PATH, then what /etc/ld.so.conf lists, then defaults."""
    asked = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    names = [*asked, *_configured(LOADER_CONFIGURATION), *LOADER_DEFAULTS]
    folders = dict.fromkeys(Path(name) for name in names if name.startswith("/"))
    return [folder for folder in folders if folder.is_dir()]


def _configured(file: Path, depth: int = 4) -> Iterator[str]:
    """Folders that an ld.so.conf names, following its includes."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        text = line.partition("#")[0].strip()
        if text.startswith("include ") and depth:
            pattern = str(file.parent / text.split(None, 1)[1])
            for included in sorted(Path("/").glob(pattern.lstrip("/"))):
                yield from _configured(included, depth - 1)
        elif text.startswith("/"):
            yield text


def _from_path(path: Path) -> Allocator:
    if problem := _problem(path):
        raise UsageError(f"{path} cannot be used as an allocator: {problem}")
    resolved = path.absolute()
    return _allocator(path.name, resolved, peers().get(name_of(path.resolve())))


def _problem(path: Path) -> str:
    """Why the loader would not take `path`, or not make it an allocator; "" if it would."""
    try:
        facts = elf.read(path)
    except InputError as error:
        return str(error)
    here = elf.read(Path(sys.executable)).machine
    if facts.machine != here:
        return f"it is for {facts.machine}, this machine is {here}"
    if not facts.is_shared_library:
        return "it is a program, not a shared library"
    if "malloc" not in facts.exports:
        return "it exports no malloc"
    return ""


def _allocator(name: str, path: Path, peer: Peer | None) -> Allocator:
    return Allocator(
        name=name,
        library=path,
        version=_version(peer, path) if peer else "",
        build_id=elf.read(path).build_id,
    )


def _version(peer: Peer, path: Path | None) -> str:
    """What the library says, or else what its file name says; "" if neither says anything."""
    if peer.native:
        return version("hakprof")
    if peer.version_pattern and path:
        with path.open("rb") as file:
            content = file.read(VERSION_LIMIT_BYTES)
        if match := re.search(peer.version_pattern.encode(), content):
            return match[1].decode()
    if peer.version_function:
        answer = _ask(peer.version_function, path)
        return _dotted(int(answer)) if answer.isdecimal() else answer
    named = re.findall(r"\d+", path.name.partition(".so")[2]) if path else []
    return ".".join(named)


@functools.cache
def _ask(function: str, path: Path | None) -> str:
    """Call `function` of a library in a process of its own; "" if that fails."""
    argv = (sys.executable, "-I", "-c", VERSION_SCRIPT, str(path or ""), function)
    outcome = process.run(process.Command(argv, timeout_s=process.PATIENCE_S))
    return outcome.stdout.decode(errors="replace").strip() if outcome.exit.ok else ""


def _dotted(number: int) -> str:
    """209 -> 2.0.9, 30403 -> 3.4.3: one digit a part, or two in newer libraries."""
    base = 10 if number < 10_000 else 100  # noqa: PLR2004 - the first number of the newer kind
    return f"{number // base**2}.{number // base % base}.{number % base}"
