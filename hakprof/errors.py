"""The tree of errors, and the exit codes they end in.

    HakprofError                 1
    |- UsageError                2   wrong option, unknown name, contradictory request
    |- TargetError               3   the measured program crashed, hung, or reported nonsense
    |- UnprovenError             4   figures were printed, but nobody proved who served the calls
    |- BackendError              5   a forced backend cannot work here
    |- InputError                6   a file is broken, truncated, hostile or of another version
    |- StoreError                7   run store or output file cannot be written or read
    `- InterruptedRunError     130   Ctrl-C or SIGTERM; what was measured was kept

Each message says what is wrong, with which file or command; `advice` says what to do next.
Only `cli.main` turns an error into an exit code.
"""

from typing import ClassVar


class HakprofError(Exception):
    """Anything hakprof can explain in one line. Shows as `message; advice`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message


def reason(error: Exception) -> str:
    """What went wrong, without the file that the message around it names."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


class UsageError(HakprofError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class TargetError(HakprofError):
    """The measured program crashed, hung, could not start, or reported nonsense."""

    exit_code = 3


class UnprovenError(HakprofError):
    """It is not proven that the named allocator served the calls."""

    exit_code = 4


class BackendError(HakprofError):
    """A backend that was asked for by name cannot work on this machine."""

    exit_code = 5


class InputError(HakprofError):
    """A file is broken, truncated, hostile, or of another version."""

    exit_code = 6


class StoreError(HakprofError):
    """The run store or an output file cannot be written or read."""

    exit_code = 7


class InterruptedRunError(HakprofError):
    """Ctrl-C: what was measured until then is kept and shown."""

    exit_code = 130
