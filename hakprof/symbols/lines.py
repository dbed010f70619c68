"""Inlined calls and source lines of addresses, remembered by build id.

Three programs know them: llvm-symbolizer (0.2 s for a whole interpreter), addr2line (0.4 s), and
our own `dwarf` where both are missing or cannot read the file; it reads only the compilation units
that the addresses lie in. All run as child processes with a time limit: debug information is
untrusted input.
"""

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from hakprof.errors import HakprofError, InputError
from hakprof.process import PATIENCE_S, Command, find_program, run
from hakprof.symbols.demangle import readable
from hakprof.symbols.elf_image import ElfImage

LLVM_NAMES = ("llvm-symbolizer", *(f"llvm-symbolizer-{v}" for v in range(21, 11, -1)))
ADDR2LINE = "addr2line"
UNKNOWN = "??"  # what it says of a name that it does not know

BATCH = 50_000
"""Addresses asked for at once: each question costs reading the debug information anew."""

ANSWER_LIMIT_BYTES = 64 << 20

CACHE_VERSION = 1
CACHE_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A function and the source line in it; line 0 and file "" where nobody knows."""

    function: str
    file: str
    line: int


Chain = tuple[Place, ...]
"""What an address belongs to, innermost inlined call first, the function itself last."""

Ask = Callable[[Path, Sequence[int]], list[Chain]]


def inline_chains(image: ElfImage, addresses: Iterable[int], ask: Ask | None = None) -> list[Chain]:
    """The chain of each address; () for each where the file has no debug information.

    Raises InputError if the debug information is broken.
    """
    wanted = list(addresses)
    if not image.has_debug_info:
        return [()] * len(wanted)
    ask = ask or (ask_llvm if llvm_symbolizer() else _ask_others)
    known = _load(image.build_id)
    missing = sorted({address for address in wanted if address not in known})
    for at in range(0, len(missing), BATCH):
        part = missing[at : at + BATCH]
        known.update(zip(part, ask(image.path, part), strict=True))
    if missing:
        _save(image.build_id, known)
    return _readable([known[address] for address in wanted])


def _readable(chains: Sequence[Chain]) -> list[Chain]:
    """The same with readable function names."""
    names = list({place.function for chain in chains for place in chain})
    shown = {a: b for a, b in zip(names, readable(names), strict=True) if a != b}
    if not shown:
        return list(chains)
    return [
        tuple(
            replace(place, function=shown[place.function]) if place.function in shown else place
            for place in chain
        )
        for chain in chains
    ]


def llvm_symbolizer() -> Path | None:
    """The installed one, if any."""
    return next(filter(None, map(find_program, LLVM_NAMES)), None)


def ask_llvm(path: Path, addresses: Sequence[int]) -> list[Chain]:
    """Chains out of llvm-symbolizer."""
    program = llvm_symbolizer()
    if program is None:
        raise HakprofError("llvm-symbolizer is not installed", advice="apt-get install llvm")
    argv = [str(program), f"--obj={path}", "--output-style=JSON", "--inlines", "--no-demangle"]
    return _ask(argv, addresses, bytes.splitlines, _llvm_chain)


def _ask_others(path: Path, addresses: Sequence[int]) -> list[Chain]:
    """addr2line if it is there and can read the file: not of another architecture, not too new."""
    if find_program(ADDR2LINE) is not None:
        with contextlib.suppress(InputError):
            chains = ask_addr2line(path, addresses)
            if any(chains):
                return chains
    return ask_dwarf(path, addresses)


def ask_addr2line(path: Path, addresses: Sequence[int]) -> list[Chain]:
    """Chains out of addr2line: after each address two lines a call, `function` and `file:line`."""
    argv = [ADDR2LINE, "--addresses", "--functions", "--inlines", f"--exe={path}"]
    return _ask(argv, addresses, _addr2line_answers, _addr2line_chain)


def ask_dwarf(path: Path, addresses: Sequence[int]) -> list[Chain]:
    """Chains out of our own reader."""
    argv = [sys.executable, "-m", "hakprof.symbols.dwarf", str(path)]
    return _ask(argv, addresses, bytes.splitlines, _own_chain)


def _ask(
    argv: Sequence[str],
    addresses: Sequence[int],
    split: Callable[[bytes], list[bytes]],
    parse: Callable[[bytes], Chain],
) -> list[Chain]:
    """One answer for each address given on standard input."""
    with tempfile.TemporaryFile() as questions:
        questions.write("".join(f"{address:#x}\n" for address in addresses).encode())
        questions.seek(0)
        outcome = run(
            Command(
                argv, stdin=questions.fileno(), timeout_s=PATIENCE_S, keep_bytes=ANSWER_LIMIT_BYTES
            )
        )
    answers = split(outcome.stdout)
    if outcome.exit.ok and len(answers) != len(addresses) and len(addresses) > 1:
        half = len(addresses) // 2  # more than is kept of an answer
        parts = addresses[:half], addresses[half:]
        return [chain for part in parts for chain in _ask(argv, part, split, parse)]
    if not outcome.exit.ok or len(answers) != len(addresses):
        last = outcome.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(
            f"the debug information cannot be read: {Path(argv[0]).name} "
            f"{outcome.exit.kind} {outcome.exit.number} {' '.join(last)}".rstrip()
        )
    try:
        return [parse(answer) for answer in answers]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{Path(argv[0]).name} answered nonsense ({error})") from error


def _addr2line_answers(output: bytes) -> list[bytes]:
    return re.split(rb"^0x[0-9a-f]+\n", output, flags=re.MULTILINE)[1:]


def _addr2line_chain(answer: bytes) -> Chain:
    places = []
    lines = answer.decode(errors="replace").splitlines()
    for function, place in zip(lines[::2], lines[1::2], strict=True):
        file, _, number = place.partition(" (discriminator")[0].rpartition(":")
        known = number.isdecimal() and file != UNKNOWN
        places.append(
            Place(
                "" if function == UNKNOWN else function,
                _normal(file) if known else "",
                int(number) if known else 0,
            )
        )
    return tuple(places) if any(place.line for place in places) else ()


def _llvm_chain(answer: bytes) -> Chain:
    rows = json.loads(answer)["Symbol"]
    if not any(row["Line"] for row in rows):
        return ()  # only the name of a symbol, which we know better
    return tuple(
        Place(row["FunctionName"], _normal(row["FileName"]), int(row["Line"])) for row in rows
    )


_normal = lru_cache(maxsize=4096)(os.path.normpath)  # the same files again and again


def _own_chain(answer: bytes) -> Chain:
    return tuple(Place(function, file, int(line)) for function, file, line in json.loads(answer))


def cache_folder() -> Path:
    """Where answers are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hakprof" / "lines"


def _load(build_id: str) -> dict[int, Chain]:
    path = cache_folder() / f"{build_id}.json"
    try:
        if not build_id or path.stat().st_size > CACHE_LIMIT_BYTES:
            return {}
        stored = json.loads(path.read_bytes())
        if stored["version"] != CACHE_VERSION:
            return {}
        places = [Place(*row) for row in stored["places"]]
        return {
            int(address): tuple(places[i] for i in chain)
            for address, chain in stored["chains"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}  # a cache may vanish or break at any time


def _save(build_id: str, chains: dict[int, Chain]) -> None:
    """Replace the file as a whole; whoever writes last wins, nobody reads half a file."""
    if not build_id:
        return
    places: dict[Place, int] = {}
    stored = {
        str(address): [places.setdefault(place, len(places)) for place in chain]
        for address, chain in chains.items()
    }
    rows = [(place.function, place.file, place.line) for place in places]
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache_folder(), delete=False) as file:
            # Not json.dump, which goes through Python for each number.
            file.write(json.dumps({"version": CACHE_VERSION, "places": rows, "chains": stored}))
        Path(file.name).replace(cache_folder() / f"{build_id}.json")
    except OSError:
        return  # a cache that cannot be written costs time, nothing else
