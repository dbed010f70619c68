"""The only module that starts processes. It owns LD_PRELOAD, limits, descriptors and environment.

Resource usage is the kernel's own accounting (wait4) of a program and of the descendants it waited
for. A child inherits the resident high-water mark of the process that started it, and Python's is
tens of megabytes: `Command.account` has `hakrun` start the program and account for it, so that its
peak is its own. `hakrun` also keeps LD_PRELOAD away from what a program runs under.
"""

import contextlib
import dataclasses
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hakprof import native
from hakprof.errors import HakprofError, TargetError
from hakprof.model import Exit, ExitKind
from hakprof.preload import preloadable

CAPTURE_LIMIT_BYTES = 1 << 20
"""What is kept of each stream (the end of it) if a command says nothing else."""

PIPE_LIMIT_BYTES = 32 << 20
"""The same of each pipe: a tree of many processes writes some kilobytes for each of them."""

PATIENCE_S = 300.0
"""Given to a tool that answers in moments: a busy machine may let it wait for minutes, and what a
tool did not answer is taken for what it cannot do."""

REPORT_FD_ENV = "HAKBENCH_FD"
"""Names the descriptor on which a benchmark writes its report line."""

AUDIT_FD_ENV = "HAKAUDIT_FD"
"""Names the descriptor on which the preloaded audit writes one line a process."""

_ACCOUNT = "hakrun account"
_ACCOUNTED = (
    "wall_ns",
    "user_ns",
    "system_ns",
    "max_rss_bytes",
    "minor_faults",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
)
"""the figures of an Outcome that hakrun's line replaces"""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. Nothing is ever passed to a shell."""

    argv: Sequence[str]
    wrapper: Sequence[str] = ()
    """what the program runs under (perf, an emulator); `{fd:NAME}` is the number of pipe NAME"""
    preload: Sequence[Path] = ()  # LD_PRELOAD of the program alone, in order
    account: bool = False  # usage by hakrun: peak memory is the program's own
    env: Mapping[str, str] = field(default_factory=dict)  # added to a copy of ours
    unset: Sequence[str] = ()
    cwd: Path | None = None
    cpus: frozenset[int] | None = None
    timeout_s: float | None = None
    pipes: Mapping[str, str] = field(default_factory=dict)
    """name -> environment variable that tells the child the number of a pipe it can write to; ""
    where only the wrapper is told"""
    merge_output: bool = False
    inherit_output: bool = False
    keep_bytes: int = CAPTURE_LIMIT_BYTES  # of the end of each stream; the rest is thrown away
    stdin: int | None = None  # None: /dev/null
    pass_fds: Sequence[int] = ()  # descriptors of the caller's own that the child keeps


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended and what it used. Usage says nothing about a program that was timed out."""

    exit: Exit
    pid: int  # of the process that was started; wrapper and hakrun become the program by exec
    wall_ns: int
    user_ns: int
    system_ns: int
    max_rss_bytes: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    stdout: bytes
    stderr: bytes
    pipes: Mapping[str, bytes]

    @property
    def cpu_ns(self) -> int:
        """User and system time together."""
        return self.user_ns + self.system_ns


def find_program(name: str) -> Path | None:
    """Absolute path of `name` as the shell would find it, or None."""
    found = shutil.which(name)
    return Path(found).absolute() if found else None  # a Path alone would lose the ./ of ./name


def require_program(name: str, *, cwd: Path | None = None, search: str | None = None) -> Path:
    """The same of a program that must be there, with `search` for PATH. TargetError if it is not.

    A launcher in between would hide what the system says of it.
    """
    file = str(Path(cwd or "", name).absolute()) if "/" in name else name
    found = shutil.which(file, path=search)
    if found is None:
        exists = "/" in name and Path(file).exists()
        raise _cannot_start(name, "not an executable file" if exists else "no such program")
    return Path(found).absolute()


Beside = Callable[[int], contextlib.AbstractContextManager[object]]
"""Given the process id of what was started; entered then, left when it has ended."""


def run(command: Command, beside: Beside = contextlib.nullcontext) -> Outcome:
    """Start, feed, wait, and account. Raises TargetError if it cannot be started."""
    env = _environment(command)
    require_program(command.argv[0], cwd=command.cwd, search=env.get("PATH"))
    readers: dict[str, int] = {}
    writers: dict[str, int] = {}
    try:
        for name in (*command.pipes, *([_ACCOUNT] if command.account else [])):
            readers[name], writers[name] = os.pipe()
        env |= {
            variable: str(writers[name]) for name, variable in command.pipes.items() if variable
        }
        started_ns = time.monotonic_ns()
        child = _start(command, env, writers)
    except BaseException:
        _close(readers.values())
        raise
    finally:
        _close(writers.values())
    streams = {name: _Stream(fd, PIPE_LIMIT_BYTES) for name, fd in readers.items()}
    if child.stdout is not None:
        streams["stdout"] = _Stream(child.stdout.fileno(), command.keep_bytes)
    if child.stderr is not None:
        streams["stderr"] = _Stream(child.stderr.fileno(), command.keep_bytes)
    try:
        with beside(child.pid):
            outcome = _collect(child, streams, started_ns, command.timeout_s)
    finally:
        _close(readers.values())
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    return _accounted(command, outcome) if command.account else outcome


def _environment(command: Command) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in command.unset} | dict(command.env)


def _full_argv(command: Command, writers: Mapping[str, int]) -> list[str]:
    """wrapper, then hakrun if it has something to do, then the program; it all ends when we do."""
    wrapper = [
        re.sub(r"\{fd:([^{}]+)\}", lambda match: str(writers[match[1]]), part)
        for part in command.wrapper
    ]
    if not (wrapper or command.preload or command.account):
        return [*command.argv]
    hakrun = str(native.program("hakrun"))
    launcher = [hakrun, "--parent", str(os.getpid())]
    if wrapper:
        launcher += ["--", *wrapper]
        if not (command.preload or command.account):
            return [*launcher, *command.argv]
        launcher.append(hakrun)
    if command.preload:
        launcher += ["--preload", ":".join(map(preloadable, command.preload))]
    if command.account:
        launcher += ["--account", str(writers[_ACCOUNT])]
    return [*launcher, "--", *command.argv]


def _start(
    command: Command, env: Mapping[str, str], writers: Mapping[str, int]
) -> subprocess.Popen[bytes]:
    output = None if command.inherit_output else subprocess.PIPE
    argv = _full_argv(command, writers)
    try:
        with _pinned(command.cpus):
            return subprocess.Popen(
                argv,
                env=env,
                cwd=command.cwd,
                stdin=subprocess.DEVNULL if command.stdin is None else command.stdin,
                stdout=output,
                stderr=subprocess.STDOUT if command.merge_output else output,
                pass_fds=[*writers.values(), *command.pass_fds],
                process_group=0,
            )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _cannot_start(argv[0], reason) from error


def _cannot_start(name: str, reason: str) -> TargetError:
    return TargetError(
        f"cannot start {name!r}: {reason}",
        advice="check the path and that it is executable on this machine",
    )


@contextlib.contextmanager
def _pinned(cpus: frozenset[int] | None) -> Iterator[None]:
    """Bind ourselves for the moment of the start: the child inherits it."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(slots=True)
class _Stream:
    """What a child writes, and the end of it that is kept."""

    descriptor: int
    limit: int
    kept: bytearray = field(default_factory=bytearray)

    def read_some(self) -> bool:
        """Append what is there; False at the end of the stream or when nothing is there."""
        try:
            data = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return False
        self.kept += data
        if len(self.kept) > 2 * self.limit:
            del self.kept[: -self.limit]
        return bool(data)


def _collect(
    child: subprocess.Popen[bytes],
    streams: Mapping[str, _Stream],
    started_ns: int,
    timeout_s: float | None,
) -> Outcome:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    timed_out = False
    try:
        pidfd = os.pidfd_open(child.pid)
        try:
            timed_out = _drain(streams.values(), pidfd, deadline)
        finally:
            os.close(pidfd)
    except BaseException:
        _kill_group(child.pid)
        _, child.returncode, _ = os.wait4(child.pid, 0)
        raise
    if timed_out:
        _kill_group(child.pid)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    kept = {name: bytes(stream.kept) for name, stream in streams.items()}
    return Outcome(
        exit=Exit(ExitKind.TIMEOUT, signal.SIGKILL) if timed_out else _exit(child.returncode),
        pid=child.pid,
        wall_ns=time.monotonic_ns() - started_ns,
        user_ns=round(usage.ru_utime * 1e9),
        system_ns=round(usage.ru_stime * 1e9),
        max_rss_bytes=usage.ru_maxrss * 1024,
        minor_faults=usage.ru_minflt,
        major_faults=usage.ru_majflt,
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
        stdout=kept.pop("stdout", b""),
        stderr=kept.pop("stderr", b""),
        pipes=kept,
    )


def _exit(code: int) -> Exit:
    return Exit(ExitKind.CODE, code) if code >= 0 else Exit(ExitKind.SIGNAL, -code)


def _accounted(command: Command, outcome: Outcome) -> Outcome:
    """Put what hakrun says in the place of what this process saw of hakrun itself."""
    pipes = dict(outcome.pipes)
    line = pipes.pop(_ACCOUNT)
    outcome = dataclasses.replace(outcome, pipes=pipes)
    if not line:
        if outcome.exit.kind is ExitKind.TIMEOUT:
            return outcome
        raise HakprofError(
            f"hakrun ended without its account ({outcome.exit.kind} {outcome.exit.number})",
            advice="something killed it: look for limits on memory or processes",
        )
    account = json.loads(line)
    if account["exec_errno"]:
        raise _cannot_start(command.argv[0], os.strerror(account["exec_errno"]))
    return dataclasses.replace(outcome, **{name: account[name] for name in _ACCOUNTED})


def _drain(streams: Collection[_Stream], pidfd: int, deadline: float | None) -> bool:
    """Read all streams until the child has ended; True if the deadline came first.

    A daemon that the child leaves behind may hold a stream open for ever: once the child has
    ended, what is already in the pipes is read and no more is waited for.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(pidfd, selectors.EVENT_READ)
        for stream in streams:
            os.set_blocking(stream.descriptor, False)
            selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            ended = False
            for key, _ in selector.select(left):
                if key.data is None:
                    ended = True
                elif not key.data.read_some():
                    selector.unregister(key.fd)
            if ended:
                for stream in streams:
                    while stream.read_some():
                        pass
                return False
            if left == 0:  # and it had not ended while this machine, or we, stood still
                return True


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
