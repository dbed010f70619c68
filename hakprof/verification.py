"""What `hakprof verify` shows: one run that was only looked at, and its proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hakprof import proof
from hakprof.model import Allocator, Exit, Proof

SCHEMA = "hakprof.verify/1"
"""Name and version of the document. A field may be added; one that changes raises the version."""

STDERR_SHOWN_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Verification:
    """Which command ran on which allocator, how it ended, and who served its calls."""

    command: tuple[str, ...]
    allocator: Allocator
    exit: Exit
    proof: Proof
    stderr: str  # the end of it
    schema: str = SCHEMA


def verify(
    allocator: Allocator, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
) -> Verification:
    """Run a program once and judge who served it. TargetError if it cannot be started."""
    found, outcome = proof.observe(allocator, argv, env=env, timeout_s=timeout_s)
    return Verification(
        command=tuple(argv),
        allocator=allocator,
        exit=outcome.exit,
        proof=found,
        stderr=outcome.stderr[-STDERR_SHOWN_BYTES:].decode(errors="replace"),
    )
