import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hakprof import native
from hakprof.errors import TargetError
from hakprof.model import Exit, ExitKind
from hakprof.process import CAPTURE_LIMIT_BYTES, Command, Outcome, find_program, run

WaitFor = Callable[[Callable[[], bool]], None]
needs_hakrun = pytest.mark.skipif(
    not (native.NATIVE / "bin" / "hakrun").exists(), reason="hakrun is not installed"
)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def sh(code: str) -> tuple[str, ...]:
    return ("sh", "-c", code)


def test_streams_pipes_and_exit_code() -> None:
    done = run(
        Command(sh("echo out; echo err >&2; echo line >/dev/fd/$FD; exit 3"), pipes={"p": "FD"})
    )
    assert done.exit == Exit(ExitKind.CODE, 3)
    assert (done.stdout, done.stderr, done.pipes) == (b"out\n", b"err\n", {"p": b"line\n"})
    assert done.wall_ns > 0


def test_death_by_signal_is_told_from_exit_code() -> None:
    assert run(Command(sh("kill -ABRT $$"))).exit == Exit(ExitKind.SIGNAL, signal.SIGABRT)


@pytest.mark.parametrize("account", [False, pytest.param(True, marks=needs_hakrun)])
def test_timeout_kills_the_whole_group(
    tmp_path: Path, stopped: Callable[..., Outcome], wait_for: WaitFor, *, account: bool
) -> None:
    mark = tmp_path / "grandchild"

    def outcome(words: Sequence[str], timeout_s: float) -> Outcome:
        return run(Command(words, timeout_s=timeout_s, account=account))

    done = stopped(outcome, f"(sh -c 'echo $$ >{mark}; echo >$0; sleep 1000' $0) & wait")
    assert done.exit.kind is ExitKind.TIMEOUT
    grandchild = int(mark.read_text())
    wait_for(lambda: gone(grandchild))


@needs_hakrun
@pytest.mark.parametrize(
    ("how", "descendants"),
    [
        ("account=True", True),
        ("preload=[Path('/dev/null')]", False),
        ("wrapper=['/usr/bin/env']", False),
    ],
)
def test_who_kills_us_ends_what_we_started(
    tmp_path: Path, wait_for: WaitFor, how: str, *, descendants: bool
) -> None:
    """kill -9 of hakprof: the program ends; under an account all of its process group."""
    pids = tmp_path / "pids"
    program = f"sleep 1000 & echo $$ $! >{pids}.part; mv {pids}.part {pids}; wait"
    code = f"""
from pathlib import Path
from hakprof.process import Command, run
run(Command(["sh", "-c", {program!r}], {how}))
"""
    starter = subprocess.Popen([sys.executable, "-P", "-c", code])
    wait_for(pids.exists)
    shell, sleeper = map(int, pids.read_text().split())
    starter.kill()
    starter.wait()
    wait_for(lambda: gone(shell))
    if descendants:
        wait_for(lambda: gone(sleeper))
    else:
        os.kill(sleeper, signal.SIGKILL)


def gone(pid: int) -> bool:
    """Ended, even if nobody has waited for it yet."""
    try:
        (Path("/proc") / str(pid) / "cwd").readlink()
    except OSError:
        return True
    return False


def test_a_daemon_that_keeps_the_streams_does_not_hold_us() -> None:
    done = run(Command(sh("setsid sleep 1000 & echo $!")))
    os.kill(int(done.stdout), signal.SIGKILL)  # it is there still


def test_who_ended_while_we_stood_still_was_not_stopped(wait_for: WaitFor) -> None:
    def late(pid: int) -> contextlib.nullcontext[None]:
        wait_for(lambda: gone(pid))
        return contextlib.nullcontext()

    done = run(Command(sh("echo out"), timeout_s=1e-9), late)
    assert (done.exit, done.stdout) == (Exit(ExitKind.CODE, 0), b"out\n")


def test_output_beyond_the_limit_keeps_its_end() -> None:
    code = f"import sys; sys.stdout.write('x' * {5 * CAPTURE_LIMIT_BYTES} + 'end')"
    done = run(Command(python(code)))
    assert done.stdout.endswith(b"end")
    assert len(done.stdout) <= 3 * CAPTURE_LIMIT_BYTES


@pytest.mark.parametrize("account", [False, pytest.param(True, marks=needs_hakrun)])
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("{tmp}/absent", "no such program"),
        ("{tmp}", "not an executable file"),
        ("no-such-program-anywhere", "no such program"),
    ],
)
def test_what_cannot_be_started(
    tmp_path: Path,
    name: str,
    complaint: str,
    *,
    account: bool,
) -> None:
    with pytest.raises(TargetError, match=complaint):
        run(Command([name.format(tmp=tmp_path)], account=account))


@needs_hakrun
def test_file_of_another_machine_is_named(tmp_path: Path) -> None:
    program = tmp_path / "alien"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(100))
    program.chmod(0o755)
    for account in (False, True):
        with pytest.raises(TargetError, match="Exec format error"):
            run(Command([str(program)], account=account))


@pytest.mark.parametrize("name", ["./here", "folder/../here"])
def test_a_relative_path_is_one_of_this_folder(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    program = tmp_path / "here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert run(Command([name], cwd=tmp_path)).stdout == b"found\n"
    monkeypatch.chdir(tmp_path)
    assert run(Command([name])).stdout == b"found\n"


def test_shell_metacharacters_are_only_characters(tmp_path: Path) -> None:
    program = tmp_path / "a b;$(touch owned)'*"
    program.write_text('#!/bin/sh\necho "$1"\n')
    program.chmod(0o755)
    done = run(Command([str(program), "; echo $HOME"], cwd=tmp_path))
    assert done.stdout == b"; echo $HOME\n"
    assert not (tmp_path / "owned").exists()


def test_pinning_reaches_the_child_and_leaves_us_alone() -> None:
    before = os.sched_getaffinity(0)
    cpu = max(before)
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    done = run(Command(python(code), cpus=frozenset({cpu})))
    assert done.stdout.decode().strip() == f"[{cpu}]"
    assert os.sched_getaffinity(0) == before


def test_wrapper_learns_the_number_of_a_pipe() -> None:
    wrapper = ("sh", "-c", 'echo from wrapper >/dev/fd/$0; exec "$@"', "{fd:log}")
    done = run(Command(("echo", "{fd:log}"), wrapper=wrapper, pipes={"log": "LOG_FD"}))
    assert done.pipes == {"log": b"from wrapper\n"}
    assert done.stdout == b"{fd:log}\n"


def test_environment_is_added_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "1")
    done = run(Command(sh("echo $GONE,$HERE"), env={"HERE": "2"}, unset=("GONE",)))
    assert done.stdout == b",2\n"


@needs_hakrun
def test_peak_memory_is_the_program_s_own_though_we_are_big() -> None:
    ballast = bytearray(b"x" * (80 << 20))
    trapped = run(Command(["true"]))
    freed = run(Command(["true"], account=True))
    assert len(ballast) == 80 << 20
    assert freed.max_rss_bytes < 20 << 20
    assert freed.max_rss_bytes <= trapped.max_rss_bytes
    assert freed.minor_faults > 0


@needs_hakrun
def test_account_of_memory_time_and_exit() -> None:
    done = run(Command(python("x = b'x' * (200 << 20); import os; os.abort()"), account=True))
    assert done.exit == Exit(ExitKind.SIGNAL, signal.SIGABRT)
    assert 200 << 20 < done.max_rss_bytes < 300 << 20
    assert 0 <= done.user_ns <= done.cpu_ns <= 4 * done.wall_ns
    assert done.cpu_ns > 0  # the kernel may have looked at it only while it was in the kernel
    assert done.pipes == {}


@needs_hakrun
def test_preload_reaches_the_program_but_not_its_wrapper() -> None:
    library = Path("/nowhere/libabsent.so")
    wrapper = ("sh", "-c", 'echo "wrapper:$LD_PRELOAD"; exec "$@"', "sh")
    done = run(Command(sh("echo program:$LD_PRELOAD"), wrapper=wrapper, preload=[library]))
    assert done.stdout == b"wrapper:\nprogram:/nowhere/libabsent.so\n"


def test_find_program() -> None:
    found = find_program("sh")
    assert found is not None
    assert found.is_absolute()
    assert find_program("no-such-program-anywhere") is None
