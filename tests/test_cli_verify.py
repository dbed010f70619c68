import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hakprof.cli import main as cli
from hakprof.model import Verdict

Compile = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bump(compile_c: Compile) -> str:
    return str(compile_c("libbump.so", "-shared", "-fPIC", "bump.c"))


def test_proven_is_exit_0(
    bump: str, compile_c: Compile, capsys: pytest.CaptureFixture[str]
) -> None:
    program = compile_c("allocates", "allocates.c")
    assert cli.main(["verify", str(program), "--alloc", bump]) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("\nProven: libbump.so served the calls.\n")
    assert f"program {program}, exit code 0 " in " ".join(shown.out.split())
    assert shown.err == ""


def test_refuted_is_exit_4_and_one_line(
    bump: str, compile_c: Compile, capsys: pytest.CaptureFixture[str]
) -> None:
    program = compile_c("static", "allocates.c", "-static")
    assert cli.main(["verify", "--alloc", bump, str(program)]) == 4
    shown = capsys.readouterr()
    assert "REFUTED   audit" in shown.out
    assert shown.out.endswith("Refuted: the program itself served the calls, not libbump.so.\n")
    assert shown.err.count("\n") == 1
    assert f"not proven that {bump} served the calls of {program}" in shown.err


def test_benchmark_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "bench_tiny:fifo", "--alloc", "glibc"]) == 0
    # However the line is broken, which depends on where hakprof is installed.
    assert "/bench_tiny --iters" in " ".join(capsys.readouterr().out.split())


def test_words_behind_the_dashes_are_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "--alloc", "glibc", "--", "sh", "-c", "exit 3"]
    assert cli.main(words) == 0
    assert "sh -c 'exit 3', exit code 3" in capsys.readouterr().out


def test_environment_reaches_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "--alloc", "glibc", "--env", "CODE=7", "--", "sh", "-c", "exit $CODE"]
    assert cli.main(words) == 0
    assert "exit code 7" in capsys.readouterr().out


def test_what_a_crashing_program_said_is_shown(
    bump: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "verify",
        "--alloc",
        bump,
        "--",
        "sh",
        "-c",
        "echo first >&2; echo why >&2; kill -9 $$",
    ]
    assert cli.main(words) == 4
    shown = capsys.readouterr().out
    assert "killed by signal 9" in shown
    assert "stderr     why\n" in shown
    assert "Not proven: libbump.so may have served the calls" in shown


def test_program_that_never_ends_is_stopped(
    capsys: pytest.CaptureFixture[str], stopped: Callable[..., tuple[int, str]]
) -> None:
    def verified(words: Sequence[str], timeout_s: float) -> tuple[int, str]:
        options = ["--alloc", "glibc", "--timeout", f"{timeout_s}s"]
        return cli.main(["verify", *options, "--", *words]), capsys.readouterr().out

    code, shown = stopped(verified)
    assert code == 0
    assert "stopped after the time that was given" in " ".join(shown.split())


def test_json_document(bump: str, compile_c: Compile, capsys: pytest.CaptureFixture[str]) -> None:
    program = compile_c("own", "allocates.c", "bump.c")
    assert cli.main(["verify", str(program), "--alloc", bump, "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hakprof.verify/1"
    assert document["proof"]["verdict"] == Verdict.REFUTED
    assert document["proof"]["served_by"] == "the program itself"
    assert document["allocator"]["library"] == bump
    assert document["exit"] == {"kind": "code", "number": 0}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "nothing to verify"),
        (["bench_tyni"], 2, "did you mean 'bench_tiny'?"),
        (["bench_tiny:nosuch"], 2, "has no preset 'nosuch'"),
        (["/nonexistent/program"], 3, "cannot start '/nonexistent/program'"),
        (["/etc/passwd"], 3, "not an executable file"),
        (["true", "--alloc", "mimaloc"], 2, "did you mean 'mimalloc'?"),
        (["true", "--alloc", "/etc/passwd"], 2, "not an ELF file"),
        (["true", "--timeout", "soon"], 2, "soon"),
        (["true", "--env", "X"], 2, "sets nothing"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--alloc" not in words:
        words = [*words, "--alloc", "glibc"]
    assert cli.main(["verify", *words]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_names_with_shell_metacharacters(
    bump: str, compile_c: Compile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "a; echo $(id) 'b' \"c\""
    program.symlink_to(compile_c("allocates", "allocates.c"))
    assert cli.main(["verify", str(program), "--alloc", bump]) == 0
    assert "512320 bytes" not in capsys.readouterr().out


def test_program_here_is_not_the_one_of_its_name_elsewhere(
    bump: str,
    compile_c: Compile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "true").symlink_to(compile_c("static", "allocates.c", "-static"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["verify", "./true", "--alloc", bump]) == 4
    assert cli.main(["verify", "true", "--alloc", bump]) == 0


def test_thin_script_is_the_command() -> None:
    script = ROOT / "scripts" / "verify_bench.sh"
    assert os.access(script, os.X_OK)
    words = [script, "bench_tiny", "--alloc", "zzz"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no allocator 'zzz'" in done.stderr
