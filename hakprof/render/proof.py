"""The proof of who served the calls as text: what was seen, then the verdict."""

import shlex

from hakprof.model import Allocator, Exit, ExitKind, Proof, Verdict
from hakprof.render.table import labelled
from hakprof.verification import Verification

_HEADS = {
    Verdict.PROVEN: "Proven",
    Verdict.UNPROVEN: "Not proven",
    Verdict.REFUTED: "Refuted",
}


def render(seen: Verification) -> str:
    """Program, allocator, one line an observation, and the verdict, ending in a newline."""
    head = [
        ("program", f"{shlex.join(seen.command)}, {_end(seen.exit)}"),
        ("allocator", _allocator(seen.allocator)),
    ]
    if not seen.exit.ok and seen.stderr.strip():
        head.append(("stderr", seen.stderr.strip().splitlines()[-1]))
    checks = max(len(item.check) for item in seen.proof.evidence)
    rows = [
        (f"{_word(item.verdict):9} {item.check:{checks}}", item.detail)
        for item in seen.proof.evidence
    ]
    lines = [
        *labelled(head),
        "",
        *labelled(rows),
        "",
        f"{_HEADS[seen.proof.verdict]}: {who_served(seen.proof)}.",
    ]
    return "\n".join(lines) + "\n"


def who_served(proof: Proof) -> str:
    """The verdict as a sentence without its head and its stop."""
    match proof.verdict:
        case Verdict.PROVEN:
            return f"{proof.served_by} served the calls"
        case Verdict.UNPROVEN:
            return f"{proof.expected} may have served the calls, or somebody else"
        case Verdict.REFUTED:
            who = proof.served_by
            if not who or who == proof.expected:
                return f"{proof.expected} did not serve all of the calls"
            return f"{who} served the calls, not {proof.expected}"


def _word(verdict: Verdict) -> str:
    """What speaks for the allocator stays quiet."""
    return str(verdict) if verdict is Verdict.PROVEN else str(verdict).upper()


def _allocator(allocator: Allocator) -> str:
    where = str(allocator.library) if allocator.library else "the C library of the program"
    build = f"build {allocator.build_id[:12]}" if allocator.build_id else ""
    return ", ".join(filter(None, [f"{allocator.name} {allocator.version}".strip(), where, build]))


def _end(ended: Exit) -> str:
    match ended.kind:
        case ExitKind.CODE:
            return f"exit code {ended.number}"
        case ExitKind.SIGNAL:
            return f"killed by signal {ended.number}"
        case ExitKind.TIMEOUT:
            return "stopped after the time that was given"
