"""C++ and Rust names as their source writes them: `_ZN2ns3fooEi` is `ns::foo(int)`.

By llvm-cxxfilt or c++filt, where one is installed; else names stay as they are. A child process,
with a time limit, because a name is untrusted input too.
"""

import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from hakprof.errors import HakprofError
from hakprof.process import PATIENCE_S, Command, find_program, run

PROGRAMS = ("llvm-cxxfilt", *(f"llvm-cxxfilt-{v}" for v in range(21, 11, -1)), "c++filt")
MANGLED = re.compile(r"_[ZR][\w.$]+", re.ASCII)
STUB = "@plt"
BATCH = 4000

_known: dict[str, str] = {}


def readable(names: Iterable[str]) -> list[str]:
    """Each name as a programmer reads it; what is not mangled, or by a scheme unknown, as it is."""
    wanted = [(name.removesuffix(STUB), STUB if name.endswith(STUB) else "") for name in names]
    new = sorted({name for name, _ in wanted if name not in _known and MANGLED.fullmatch(name)})
    for at in range(0, len(new), BATCH):
        part = new[at : at + BATCH]
        _known.update(zip(part, _ask(part), strict=True))
    return [_known.get(name, name) + stub for name, stub in wanted]


def means(asked: str, name: str) -> bool:
    """Whether a user who asks for `asked` means the function that is shown as `name`.

    Its mangled name, or the readable one, also without parameters, scopes and return type.
    """
    if asked == name:
        return True
    bare = name if name.startswith("operator()") else name.partition("(")[0]
    return bool(asked) and (
        bare == asked
        or bare.endswith((f"::{asked}", f" {asked}"))
        or (MANGLED.fullmatch(asked) is not None and readable([asked])[0] == name)
    )


@cache
def _demangler() -> Path | None:
    return next(filter(None, map(find_program, PROGRAMS)), None)


def _ask(names: Sequence[str]) -> list[str]:
    """One answer a name; the names themselves where nobody answers."""
    program = _demangler()
    if program is None:
        return list(names)
    try:
        with tempfile.TemporaryFile() as questions:
            questions.write("".join(f"{name}\n" for name in names).encode())
            questions.seek(0)
            outcome = run(Command([str(program)], stdin=questions.fileno(), timeout_s=PATIENCE_S))
    except HakprofError:
        return list(names)
    lines = outcome.stdout.decode(errors="replace").splitlines()
    if outcome.exit.ok and len(lines) == len(names):
        return lines
    if len(names) == 1:
        return list(names)
    half = len(names) // 2  # more than `process` keeps of a stream, or one that breaks the program
    return _ask(names[:half]) + _ask(names[half:])
