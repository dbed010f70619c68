import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hakprof import comparison
from hakprof.cli import main as cli
from hakprof.errors import InterruptedRunError
from hakprof.report import Outcome


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)


def test_unknown_command_is_one_line_and_exit_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hakprof", "statt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no command 'statt'" in done.stderr


def test_every_command_has_its_module_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert cli.main([name, "--help"]) == 0
        assert "Usage: hakprof " + name in capsys.readouterr().out


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "list"]) == 0
    assert "Usage: hakprof list" in capsys.readouterr().out
    assert cli.main(["help", "nothing"]) == 2
    assert "no command 'nothing'" in capsys.readouterr().err


def test_help_imports_neither_typer_nor_numpy() -> None:
    code = "import sys; from hakprof.cli.main import main; main([]); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = shown.stdout.splitlines()[-1]
    assert "'numpy'" not in modules
    assert "'typer'" not in modules


def test_ctrl_c_outside_of_a_measurement_is_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hakprof.stat.measure", interrupted)
    assert cli.main(["stat", "bench_tiny"]) == 130
    assert capsys.readouterr().err == "hakprof: interrupted\n"


def test_ctrl_c_while_hakprof_is_loaded_is_one_line(
    tmp_path: Path, interruptible: tuple[str, ...]
) -> None:
    """The interrupt comes when the first module of ours behind `start` is looked for."""
    (tmp_path / "sitecustomize.py").write_text("""
import os, signal, sys
class Early:
    def find_spec(self, name, *_):
        if name == "hakprof.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Early())
""")
    done = subprocess.run(
        [*interruptible, sys.executable, "-m", "hakprof", "list"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hakprof: interrupted\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list"], ["stat", "--help"]])
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hakprof", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 7
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_standard_error_says_nothing() -> None:
    words = f"{shlex.quote(sys.executable)} -P -m hakprof nonsense 2>&-"
    assert subprocess.run(["sh", "-c", words], check=False).returncode == 2


def test_names_that_are_no_text_are_shown_as_well_as_can_be(tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"odd \xff")
    program.symlink_to("/bin/true")
    command = [sys.executable, "-P", "-m", "hakprof", "verify", "--alloc=glibc", str(program)]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    for env in (os.environ, ascii_only):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert "odd ?" in " ".join(done.stdout.split())  # however long the path is


@pytest.mark.parametrize("words", [["gap", "hakmem", "glibc", "bench_tiny"], ["health", "speed"]])
def test_ctrl_c_in_one_part_of_a_command_ends_all_of_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> Outcome[None]:
        return Outcome(None, (InterruptedRunError("interrupted"),))

    monkeypatch.setattr(comparison, "measure", interrupted)
    assert cli.main(words) == 130
    assert capsys.readouterr() == ("", "hakprof: interrupted\n")
