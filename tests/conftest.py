"""What tests of several modules need: programs of tests/programs, compiled on the spot."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parent / "programs"
Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """compile_c("name", "source.c", "-flag", cc="cc") -> path of the binary, built once."""
    folder = tmp_path_factory.mktemp("compiled")

    def build(name: str, *arguments: str, cc: str = "cc") -> Path:
        if shutil.which(cc) is None:
            pytest.skip(f"{cc} is missing")
        made = folder / name
        if not made.exists():
            words = [str(PROGRAMS / a) if a.endswith(".c") else a for a in arguments]
            command = [cc, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=sha1"]
            subprocess.run([*command, *words, "-o", str(made)], check=True)
        return made

    return build


@pytest.fixture(scope="session")
def interruptible() -> tuple[str, ...]:
    """Before a command that is to be interrupted, whose process id stays the same.

    What is ignored at the start stays ignored: SIGINT in a script's background jobs, SIGHUP under
    nohup; and pytest may have been started so.
    """
    return ("env", "--default-signal=HUP,INT,TERM")
