"""Who served the allocation calls of a run, and how that is known.

Every way to measure the wrong allocator leaves a trace, or leaves out one that should be there: a
missing audit line, an entry point of somebody else, another build of the library, glibc's own
statistics that grow although glibc should be idle. `judge` puts them together. One observation
against the named allocator refutes; a gap leaves it unproven.
"""

import contextlib
import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hakprof import elf, evidence, native, process
from hakprof.audit import ExecLine, ExitLine, Lines, StartLine, audit_lines, exec_lines
from hakprof.errors import InputError
from hakprof.evidence import ITSELF
from hakprof.model import Allocator, Evidence, Exit, ExitKind, Proof, Verdict
from hakprof.preload import preloadable

SHOWN = 3
"""So many of a list are named, the rest is counted."""

_EXECS_FD_ENV = "HAKEXEC_FD"
_SEVERITY = (Verdict.PROVEN, Verdict.UNPROVEN, Verdict.REFUTED)
_IGNORED = re.compile(rb"object '([^']*)' from LD_PRELOAD cannot be preloaded \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run left behind for a verdict."""

    allocator: Allocator
    program: Path  # what was started
    exit: Exit
    audit: bytes  # what libhakaudit.so wrote
    execs: bytes | None = None  # what `hakrun --trace-exec` wrote; None: nobody traced
    stderr: bytes = b""


def judge(seen: Observed) -> Proof:
    """The verdict over the whole process tree of one run."""
    audited = audit_lines(seen.audit)
    started = _started_file(seen.program)
    main = next((line for line in audited.starts if Path(line.exe) == started), None)
    found = list(_ignored_by_loader(seen))
    if main:
        found += evidence.of_image(seen.allocator, main)
        ended = [line for line in audited.exits if (line.pid, line.exe) == (main.pid, main.exe)]
        found += [item for line in ended for item in evidence.at_exit(seen.allocator, line)]
    else:
        found.append(_missing(seen, started))
    if seen.exit.kind is ExitKind.SIGNAL:
        killed = f"{seen.program} was killed by {_signal_name(seen.exit.number)}"
        found.append(Evidence("exit", Verdict.UNPROVEN, killed))
    found += _further_images(seen, main, audited)
    return Proof(
        expected=seen.allocator.name,
        served_by=evidence.served_by(seen.allocator, main) if main else _unaudited(started),
        verdict=_worst(item.verdict for item in found),
        evidence=tuple(found),
    )


def _started_file(program: Path) -> Path:
    """What /proc/PID/exe shows of it."""
    try:
        return elf.started_file(program)
    except InputError:  # it may be run but not read, or it is gone
        return program.resolve()


def combine(proofs: Sequence[Proof]) -> Proof:
    """One proof for several runs of an arm: as good as the worst. `proofs` must not be empty."""
    servers = dict.fromkeys(proof.served_by for proof in proofs if proof.served_by)
    return Proof(
        expected=proofs[0].expected,
        served_by=", ".join(servers),
        verdict=_worst(proof.verdict for proof in proofs),
        evidence=tuple(dict.fromkeys(item for proof in proofs for item in proof.evidence)),
    )


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=_SEVERITY.index)


def _ignored_by_loader(seen: Observed) -> Iterator[Evidence]:
    """The loader goes on without a library it cannot preload, and says so on stderr only."""
    for match in dict.fromkeys(_IGNORED.findall(seen.stderr)):
        file, reason = (text.decode(errors="replace") for text in match)
        yield Evidence("loader", Verdict.REFUTED, f"ignored {file}: {reason}")


def _missing(seen: Observed, started: Path) -> Evidence:
    """Why the started program wrote no audit line: the proof that the preload did not happen."""
    try:
        facts = elf.read(started)
    except InputError as error:
        return Evidence("audit", Verdict.UNPROVEN, f"no line, and {error}")
    against = Verdict.UNPROVEN if evidence.is_glibc(seen.allocator) else Verdict.REFUTED
    ours = elf.read(native.library("hakaudit")).machine
    if facts.machine != ours:
        detail = f"{started} is for {facts.machine}: a library for {ours} is ignored"
    elif facts.is_static:
        detail = f"{started} is static: no loader reads LD_PRELOAD, its malloc is its own"
    elif facts.is_privileged:
        detail = f"{started} is setuid, setgid or has capabilities: the loader ignores LD_PRELOAD"
    else:
        against = Verdict.UNPROVEN
        detail = f"{started} wrote no line: {_end(seen.exit)}"
    return Evidence("audit", against, detail)


def _end(ended: Exit) -> str:
    match ended.kind:
        case ExitKind.SIGNAL:
            return f"{_signal_name(ended.number)} killed it before it could"
        case ExitKind.TIMEOUT:
            return "it was stopped before it could"
        case ExitKind.CODE:
            return f"LD_PRELOAD was ignored or undone (exit code {ended.number})"


def _count(images: int) -> str:
    return "1 program image" if images == 1 else f"{images} program images"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _unaudited(started: Path) -> str:
    try:
        return ITSELF if elf.read(started).is_static else ""
    except InputError:
        return ""


def _further_images(seen: Observed, main: StartLine | None, audited: Lines) -> Iterator[Evidence]:
    """Children, and what the program turned itself into: whether they run as it does."""
    if audited.unreadable:
        yield Evidence("audit", Verdict.UNPROVEN, f"unreadable lines: {audited.unreadable}")
    others = [line for line in audited.starts if line is not main]
    against = list(_against(seen.allocator, main, audited))
    if seen.execs is not None:
        traced = exec_lines(seen.execs)
        if traced.error or traced.unreadable or not traced.execs:
            why = traced.error or "the tracer's lines are missing or unreadable"
            yield Evidence("process tree", Verdict.UNPROVEN, f"was not traced: {why}")
        against += _unaudited_images(seen, main, audited, traced)
    if against:
        worst = _worst(item.verdict for item in against)
        yield Evidence("process tree", worst, _tally(item.detail for item in against))
    elif others:
        yield Evidence("process tree", Verdict.PROVEN, f"{_count(len(others))} more, the same")


def _tally(details: Iterable[str]) -> str:
    """The first few different ones, each with how often it was seen."""
    counts = Counter(details).items()
    shown = [f"{detail} ({times} times)" if times > 1 else detail for detail, times in counts]
    more = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    return "; ".join([*shown[:SHOWN], *more])


def _against(allocator: Allocator, main: StartLine | None, audited: Lines) -> Iterator[Evidence]:
    """What speaks against the allocator in other processes, with the process named."""
    seen: list[tuple[StartLine | ExitLine, Iterator[Evidence]]] = [
        (line, evidence.of_image(allocator, line)) for line in audited.starts if line is not main
    ]
    seen += [
        (line, evidence.at_exit(allocator, line))
        for line in audited.exits
        if not main or (line.pid, line.exe) != (main.pid, main.exe)
    ]
    for line, items in seen:
        for item in items:
            if item.verdict is not Verdict.PROVEN:
                yield Evidence(item.check, item.verdict, f"{line.exe}: {item.detail}")


def _unaudited_images(
    seen: Observed, main: StartLine | None, audited: Lines, traced: Lines
) -> Iterator[Evidence]:
    """Images that ran and wrote no line, except the started program, which `_missing` explains."""
    written = Counter((line.pid, line.exe) for line in audited.starts)
    launcher = str(native.program("hakrun").resolve())
    started = str(_started_file(seen.program))
    explained = main is not None
    for image in traced.execs:
        if image.exe == launcher:
            continue
        if not explained and image.exe == started:
            explained = True
        elif written[image.pid, image.exe]:
            written[image.pid, image.exe] -= 1
        else:
            yield _unaudited_image(seen.allocator, image)


def _unaudited_image(allocator: Allocator, image: ExecLine) -> Evidence:
    against = Verdict.UNPROVEN if evidence.is_glibc(allocator) else Verdict.REFUTED
    if image.static:
        why = "is static: its malloc is its own"
    elif image.secure:
        why = "runs with raised privileges: the loader ignored LD_PRELOAD"
    elif not image.preload:
        why = "was started without LD_PRELOAD"
    elif allocator.library and preloadable(allocator.library) not in image.preload.split(":"):
        why = f"was started with another LD_PRELOAD, {image.preload}"
    else:
        against = Verdict.UNPROVEN
        why = "wrote no audit line, although it was started with LD_PRELOAD"
    return Evidence("process tree", against, f"{image.exe} {why}")


def observe(
    allocator: Allocator, argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float
) -> tuple[Proof, process.Outcome]:
    """Run a program once, audited and traced, only to see who serves it.

    A program that had to be stopped after `timeout_s` gives a proof as well: the audit speaks at
    its start. Raises TargetError if it cannot be started.
    """
    libraries = [allocator.library] if allocator.library else []
    outcome = process.run(
        process.Command(
            argv=argv,
            wrapper=(str(native.program("hakrun")), "--trace-exec", "{fd:execs}", "--"),
            preload=(*libraries, native.library("hakaudit")),
            env={**allocator.env, **env},
            pipes={"audit": process.AUDIT_FD_ENV, "execs": _EXECS_FD_ENV},
            timeout_s=timeout_s,
        )
    )
    seen = Observed(
        allocator=allocator,
        program=process.find_program(argv[0]) or Path(argv[0]),
        exit=outcome.exit,
        audit=outcome.pipes["audit"],
        execs=outcome.pipes["execs"],
        stderr=outcome.stderr,
    )
    return judge(seen), outcome
