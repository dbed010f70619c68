"""The launcher, the kernels of known cost, and the plugin of qemu-user, each by its own words."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hakprof import native

needs_qemu = pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("qemu-x86_64") is None,
    reason="qemu-x86_64 (qemu-user) is missing",
)


def run_with_pipe(
    before: list[str], after: list[str], *, check: bool = True, **env: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """Run `before FD after`, FD being a pipe; the lines that were written to it."""
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [word.replace("FD", str(writer)) for word in before] + after,
            env={**os.environ, "HAKBENCH_CLOCK": "0", **env},
            pass_fds=[writer],
            capture_output=True,
            text=True,
            check=check,
            timeout=600,
        )
    finally:
        os.close(writer)
    with os.fdopen(reader) as lines:
        return done, [json.loads(line) for line in lines]


def hakrun(*options: str) -> list[str]:
    return [str(native.program("hakrun")), *options]


# --- hakrun -------------------------------------------------------------------------------------


def test_account_tells_time_faults_and_memory() -> None:
    grow = "x = bytearray(50_000_000); x[::4096] = b'1' * len(x[::4096])"
    _, [line] = run_with_pipe(hakrun("--account", "FD"), [sys.executable, "-c", grow])
    assert (line["hakrun"], line["exec_errno"]) == (1, 0)
    assert line["max_rss_bytes"] > 50_000_000
    assert line["minor_faults"] > 50_000_000 / 65536
    assert line["user_ns"] + line["system_ns"] > 0
    assert line["wall_ns"] > 0


def test_peak_memory_does_not_hold_the_starter_s() -> None:
    _, [line] = run_with_pipe(hakrun("--account", "FD"), ["true"])
    assert line["max_rss_bytes"] < 8_000_000  # pytest itself holds several times that


@pytest.mark.parametrize("code", [0, 7, 255])
def test_ends_with_the_program_s_code(code: int) -> None:
    done, _ = run_with_pipe(hakrun("--account", "FD"), ["sh", "-c", f"exit {code}"], check=False)
    assert done.returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_ends_by_the_program_s_signal(number: signal.Signals) -> None:
    kill = f"kill -{number.value} $$"
    done, [line] = run_with_pipe(hakrun("--account", "FD"), ["sh", "-c", kill], check=False)
    assert done.returncode == -number
    assert line["exec_errno"] == 0


def test_hands_a_signal_on() -> None:
    script = "trap 'exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.01; done"
    done, _ = run_with_pipe(hakrun("--account", "FD"), ["sh", "-c", script], check=False)
    assert done.returncode == 5


def test_waits_though_its_starter_ignores_the_end_of_children() -> None:
    start = ["env", "--ignore-signal=CHLD", *hakrun("--account", "FD")]
    done, [line] = run_with_pipe(start, ["sh", "-c", "sleep 0.05; exit 3"], check=False)
    assert done.returncode == 3
    assert line["wall_ns"] > 50_000_000


def test_what_cannot_be_started_is_told_by_errno() -> None:
    done, [line] = run_with_pipe(hakrun("--account", "FD", "--"), ["/no/such"], check=False)
    assert done.returncode == 127
    assert line["exec_errno"] == 2
    assert done.stderr == ""
    done = subprocess.run(hakrun("/no/such"), capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "hakrun: cannot start /no/such: No such file or directory\n"


def test_preload_goes_in_front_of_what_is_inherited() -> None:
    census, step = (str(native.library(name)) for name in ("hakcensus", "hakstep"))
    done = subprocess.run(
        hakrun("--preload", census, "sh", "-c", "echo $LD_PRELOAD"),
        env={**os.environ, "LD_PRELOAD": step},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{census}:{step}\n"


@pytest.mark.parametrize("account", [[], ["--account", "FD"]])
def test_a_parent_that_is_dead_already_starts_nothing(account: list[str]) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    done, lines = run_with_pipe(
        hakrun("--parent", str(dead.pid), *account), ["echo", "started"], check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert lines == []


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "no program"),
        (["--account"], "no value for --account"),
        (["--account", "987", "true"], "not an open descriptor: 987"),
        (["--account", "x", "true"], "not an open descriptor: x"),
        (["--parent", "0", "true"], "not a process: 0"),
        (["--fast", "1", "true"], "unknown option --fast"),
    ],
)
def test_hakrun_refuses_in_one_line(args: list[str], complaint: str) -> None:
    done = subprocess.run(hakrun(*args), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_image_of_the_tree_is_reported() -> None:
    script = "/bin/true; (env -u LD_PRELOAD true; :); exec sleep 0"
    preload = str(native.library("hakcensus"))
    before = hakrun("--preload", preload, "--trace-exec", "FD", "--")
    done, lines = run_with_pipe(before, ["sh", "-c", script])
    if "error" in lines[0]:
        pytest.skip(f"ptrace is forbidden here: {lines[0]['error']}")
    assert done.returncode == 0
    names = [(Path(line["exe"]).name, line["preload"]) for line in lines]
    shell = Path(os.path.realpath(shutil.which("sh") or "")).name
    true, env, sleep = (
        Path(os.path.realpath(shutil.which(n) or "")).name for n in ("true", "env", "sleep")
    )
    assert names == [
        (shell, preload),
        (true, preload),
        (env, preload),
        (true, None),
        (sleep, preload),
    ]
    assert lines[0]["pid"] == lines[-1]["pid"] == lines[1]["ppid"]
    assert all(line["secure"] is False and line["static"] is False for line in lines)


def test_a_static_image_is_told() -> None:
    _, lines = run_with_pipe(hakrun("--trace-exec", "FD", "--"), hakrun("true"))
    if "error" in lines[0]:
        pytest.skip(f"ptrace is forbidden here: {lines[0]['error']}")
    assert [line["static"] for line in lines] == [True, False]


def test_tracing_leaves_exit_signals_and_stops_alone() -> None:
    before = hakrun("--trace-exec", "FD", "--account", "FD", "--")
    done, _ = run_with_pipe(before, ["sh", "-c", "kill -USR1 $$"], check=False)
    assert done.returncode == -signal.SIGUSR1
    script = "sleep 5 & kill -STOP $!; kill -CONT $!; kill $!; wait $!; exit 9"
    done, _ = run_with_pipe(hakrun("--trace-exec", "FD", "--"), ["sh", "-c", script], check=False)
    assert done.returncode == 9


# --- haktruth -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "instructions"), [("loop7", 7), ("mul", 1.125), ("add1", 1.125), ("wide", 1.125)]
)
def test_truth_speaks_the_protocol(kernel: str, instructions: float) -> None:
    done = subprocess.run(
        [native.program("haktruth"), kernel, "1000"], capture_output=True, text=True, check=True
    )
    line = json.loads(done.stdout)
    assert line["ops"] in {1000, 1008}  # whole loops of sixteen turns
    assert (line["allocs"], line["frees"]) == (0, 0)
    assert line["truth"]["instructions_per_op"] == instructions


def test_truth_lists_its_kernels() -> None:
    done = subprocess.run(
        [native.program("haktruth"), "falsehood", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "haktruth: unknown kernel 'falsehood'; --help lists them\n"


# --- the plugin of qemu-user ----------------------------------------------------------------------


def emulate(program: Path, *args: str) -> dict[str, Any]:
    plugin = f"{native.library('hakqemu')},fd=FD"
    before = ["qemu-x86_64", "-plugin", plugin]
    _, [line] = run_with_pipe(before, [str(program), *args])
    return line


@needs_qemu
@pytest.mark.parametrize(
    ("kernel", "turns", "instructions"),
    [
        ("loop7", 100, 7),
        ("add2", 160, 34 / 16),
        ("syscall", 50, 5),
        ("memset", 10, 5),
        ("crossing", 100, 5),
    ],
)
def test_plugin_counts_kernels_to_the_instruction(
    kernel: str, turns: int, instructions: float
) -> None:
    short, long = (emulate(native.program("haktruth"), kernel, str(turns * n)) for n in (1, 2))
    counts = [line["instructions"] - line["rep_extra"] for line in (short, long)]
    assert (counts[1] - counts[0]) / turns == instructions
    assert short["roi"] is True
    assert short["total"] > short["instructions"]


@needs_qemu
def test_plugin_counts_each_thread() -> None:
    args = ("--iters", "100", "--warmup", "10", "--threads")
    one = emulate(native.benchmark("bench_tiny-null"), *args, "1")
    five = emulate(native.benchmark("bench_tiny-null"), *args, "5")
    assert (one["vcpus"], five["vcpus"]) == (1, 5)
    assert five["instructions"] == pytest.approx(5 * one["instructions"], rel=0.05)


@needs_qemu
def test_plugin_counts_a_program_without_a_region_as_a_whole() -> None:
    line = emulate(Path(shutil.which("true") or ""))
    assert line["roi"] is False
    assert line["instructions"] == line["total"] > 1000


@needs_qemu
def test_plugin_without_a_descriptor_is_refused() -> None:
    done = subprocess.run(
        ["qemu-x86_64", "-plugin", str(native.library("hakqemu")), "/bin/true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "fd=N" in done.stderr
