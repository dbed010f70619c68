"""What one audited program image says about who serves its allocation calls.

Each check turns the named allocator and the audit line into observations in plain words; `proof`
weighs them.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from hakprof import allocators, elf
from hakprof.audit import ExitLine, StartLine
from hakprof.errors import InputError
from hakprof.model import Allocator, Evidence, Verdict

GLIBC = "glibc"
ITSELF = "the program itself"

CORE = frozenset({"malloc", "free", "calloc", "realloc"})
"""Entry points that must be the allocator's even if nothing in sight imports them."""

_OPERATOR_NEW = ("_Znw", "_Zna")  # operator new and new[] as the Itanium C++ ABI mangles them
_SYSTEM = ("ld-*.so*", "ld.so*", "libc.so.6", "libhakaudit.so", "linux-vdso*")
_BUILD_ID_SHOWN = 12


def of_image(allocator: Allocator, line: StartLine) -> Iterator[Evidence]:
    """All that can be said about one image, each check that applies once."""
    yield _bindings(allocator, line)
    yield from _operators(allocator, line)
    yield from _build(allocator, line)
    yield from _glibc_statistics(allocator, line)
    yield from _counted_calls(line)
    yield from _own_calls(allocator, line)


def at_exit(allocator: Allocator, line: ExitLine) -> Iterator[Evidence]:
    """What went past the allocator while the program ran."""
    if is_glibc(allocator) or _delegates(allocator):
        return
    if line.libc_obtained:
        yield _refuted(
            "glibc at exit",
            f"glibc's own malloc holds {line.libc_obtained} bytes: later calls, or those of a "
            "module (RTLD_DEEPBIND), went to it",
        )
    elif line.libc_obtained is not None:
        yield _proven("glibc at exit", "glibc's own malloc was never used")
    if line.libc_copies > 1:
        yield _unproven(
            "glibc at exit",
            f"{line.libc_copies} C libraries are loaded (dlmopen): each has a malloc of its own",
        )


def served_by(allocator: Allocator, line: StartLine) -> str:
    """Whose malloc it was, by name."""
    owner = line.owner("malloc")
    if owner == line.exe or _hidden_malloc(line):
        return ITSELF
    name = allocator.name if _is(allocator, owner) else allocators.name_of(Path(owner))
    use = line.libc_mallinfo
    if use and use.after > use.before and name != GLIBC and not _delegates(allocator):
        return f"{GLIBC} through {name}"
    return name


def is_glibc(allocator: Allocator) -> bool:
    """Whether the named allocator is the C library's own."""
    peer = allocators.peer_of(allocator)
    return peer is not None and peer.name == GLIBC


def _delegates(allocator: Allocator) -> bool:
    """Whether handing calls on to glibc is what it is made for."""
    peer = allocators.peer_of(allocator)
    return peer is not None and peer.delegates


def _is(allocator: Allocator, file: str) -> bool:
    if allocator.library is None:
        return allocators.name_of(Path(file)) == allocator.name
    return Path(file).resolve() == allocator.library.resolve()


def _bindings(allocator: Allocator, line: StartLine) -> Evidence:
    """Who defines each entry point, as the loader resolves it."""
    owners: dict[str, list[str]] = {}
    for function in elf.ENTRY_POINTS:
        owners.setdefault(line.owner(function), []).append(function)
    theirs = {owner: names for owner, names in owners.items() if not _is(allocator, owner)}
    if not theirs:
        owner = next(iter(owners))
        return _proven("bindings", f"all {len(elf.ENTRY_POINTS)} entry points are {owner}")
    used = {name for names in theirs.values() for name in names}
    if used.isdisjoint(CORE) and not _imported(line, used):
        owned = len(elf.ENTRY_POINTS) - len(used)
        return _proven(
            "bindings",
            f"{owned} of {len(elf.ENTRY_POINTS)} entry points are {line.owner('malloc')}; "
            f"nobody here imports the others: {', '.join(sorted(used))}",
        )
    return _refuted("bindings", "; ".join(_whose(line, *item) for item in owners.items()))


def _operators(allocator: Allocator, line: StartLine) -> Iterator[Evidence]:
    """C++ allocates past malloc if some other allocator that is loaded defines operator new."""
    owner = line.operator_owner
    if owner in {"", line.exe} or _is(allocator, owner) or "malloc" not in _exports(owner):
        return
    users = [
        Path(file).name
        for file in [line.exe, *_libraries(line)]
        if file != owner and any(name.startswith(_OPERATOR_NEW) for name in _imports(file))
    ]
    if users:
        yield _refuted("operator new", f"is {owner}: what {', '.join(users)} allocates goes to it")


def _whose(line: StartLine, owner: str, functions: list[str]) -> str:
    names = ", ".join(functions)
    if len(functions) == len(elf.ENTRY_POINTS):
        names = f"all {len(functions)} entry points"
    if owner == line.exe:
        return f"{names}: {ITSELF}, {owner}"
    return f"{names}: {owner or 'nobody'}"


def _imported(line: StartLine, functions: set[str]) -> bool:
    """Whether the program or a library of it imports one of `functions`, but for libc's own use."""
    return any(functions & _imports(file) for file in [line.exe, *_libraries(line)])


def _imports(file: str) -> frozenset[str]:
    """What an object imports; nothing if it is gone or no file at all."""
    try:
        return elf.read(Path(file)).imports
    except InputError:
        return frozenset()


def _exports(file: str) -> frozenset[str]:
    try:
        return elf.read(Path(file)).exports
    except InputError:
        return frozenset()


def _libraries(line: StartLine) -> list[str]:
    """What is mapped beside the program, the loader, the C library and the allocator."""
    return [
        file
        for file, _ in line.maps
        if file not in {line.exe, line.owner("malloc")}
        and not any(fnmatchcase(Path(file).name, pattern) for pattern in _SYSTEM)
    ]


def _build(allocator: Allocator, line: StartLine) -> Iterator[Evidence]:
    """Whether the mapped library is the very build that was named, not one that replaced it."""
    owner = line.owner("malloc")
    if not _is(allocator, owner):
        return
    mapped = dict(line.maps).get(owner, "")
    try:
        named = allocator.build_id or elf.read(Path(owner)).build_id
    except InputError as error:
        yield _unproven("build id", str(error))
        return
    if not named:
        yield _proven("build id", f"{owner} has none: it is known by its path alone")
    elif mapped == named:
        yield _proven("build id", f"{mapped[:_BUILD_ID_SHOWN]} is mapped and on disk")
    else:
        yield _refuted(
            "build id",
            f"{owner} was replaced: {mapped[:_BUILD_ID_SHOWN] or 'nothing'} is mapped, "
            f"{named[:_BUILD_ID_SHOWN]} was named",
        )


def _glibc_statistics(allocator: Allocator, line: StartLine) -> Iterator[Evidence]:
    """Whether glibc's own malloc moved while the audit allocated: a wrapper gives itself away."""
    use = line.libc_mallinfo
    if use is None or _delegates(allocator):
        return
    grown = use.after - use.before
    if is_glibc(allocator):
        if grown > 0:
            yield _proven("glibc statistics", f"grew by {grown} bytes, as they should")
        else:
            yield _refuted("glibc statistics", "did not grow: somebody else served the audit")
    elif grown > 0:
        yield _refuted(
            "glibc statistics", f"grew by {grown} bytes: calls are handed on to glibc's malloc"
        )
    else:
        yield _proven("glibc statistics", "did not grow: no call is handed on to glibc")


def _counted_calls(line: StartLine) -> Iterator[Evidence]:
    """The allocator's own word, where it has one."""
    if line.calls is None:
        return
    said = f"the allocator counted {line.calls.allocs} allocations, {line.calls.frees} frees"
    yield (_proven if line.calls.allocs else _refuted)("counted calls", said)


def _own_calls(allocator: Allocator, line: StartLine) -> Iterator[Evidence]:
    """Whether the program's own calls go through the loader at all."""
    try:
        facts = elf.read(Path(line.exe))
    except InputError as error:
        yield _unproven("elf imports", str(error))
        return
    yield from _private_calls(allocator, facts)
    functions = frozenset(elf.ENTRY_POINTS)
    imported = sorted(facts.imports & functions)
    operators = any(name.startswith(_OPERATOR_NEW) for name in facts.imports)
    name = facts.path.name
    if "malloc" in facts.exports or "malloc" in facts.hidden:
        yield _refuted("elf imports", f"{name} has a malloc of its own")
    elif imported or operators:
        names = ", ".join([*imported, *(["operator new"] if operators else [])])
        yield _proven("elf imports", f"{name} imports {names}")
    elif users := [file for file in _libraries(line) if _imports(file) & functions]:
        yield _proven("elf imports", f"{name} allocates through {Path(users[0]).name}")
    elif facts.has_symbol_table:
        yield _proven("elf imports", f"{name} itself calls no allocation function")
    else:
        yield _unproven(
            "elf imports",
            f"{name} imports no allocation function and is stripped: "
            "one of its own would not be seen",
        )


def _private_calls(allocator: Allocator, facts: elf.ElfFacts) -> Iterator[Evidence]:
    """Functions such as mi_malloc, which no other allocator takes over."""
    own = allocators.peer_of(allocator)
    visible = facts.imports | facts.exports | facts.hidden
    for peer in allocators.peers().values():
        if peer != own and (names := sorted(visible.intersection(peer.private))):
            yield _unproven(
                "elf imports",
                f"{facts.path.name} uses {', '.join(names)}: such calls stay with {peer.name}",
            )


def _hidden_malloc(line: StartLine) -> bool:
    try:
        return "malloc" in elf.read(Path(line.exe)).hidden
    except InputError:
        return False


def _proven(check: str, detail: str) -> Evidence:
    return Evidence(check, Verdict.PROVEN, detail)


def _unproven(check: str, detail: str) -> Evidence:
    return Evidence(check, Verdict.UNPROVEN, detail)


def _refuted(check: str, detail: str) -> Evidence:
    return Evidence(check, Verdict.REFUTED, detail)
