"""What tests of several modules need: programs of tests/programs, compiled on the spot."""

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from hakprof import resident
from hakprof.model import Job, Sample

PROGRAMS = Path(__file__).resolve().parent / "programs"
CORE = Path(__file__).resolve().parent.parent / "core"
Compile = Callable[..., Path]
T = TypeVar("T")
PATIENCE_S = 300

RELEASE = [
    *("-std=gnu11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-fno-plt"),
    *("-fno-builtin-malloc", "-fno-builtin-calloc", "-fno-builtin-realloc", "-fno-builtin-free"),
    *(["-march=x86-64-v2"] if platform.machine() == "x86_64" else []),
]
"""What hakmem's release library is compiled with."""

# How long an example takes says how busy the machine is. The same examples in every run: whether a
# commit passes is no matter of luck. Others are looked for with --hypothesis-profile=search.
settings.register_profile(
    "gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", settings.get_profile("gate"), derandomize=False, max_examples=1000
)
settings.load_profile("gate")


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
def compile_release() -> Compile:
    """compile_release("gcc", folder of the sources, path, "-flag") -> path: the release library."""
    listed = (CORE / "src" / "CMakeLists.txt").read_text()
    lists = re.findall(r"set\(HAKMEM_(?:LIST_)?SOURCES\s([^)]*)\)", listed)
    assert len(lists) == 2
    names = " ".join(lists).split()

    def build(compiler: str, sources: Path, made: Path, *flags: str) -> Path:
        files = [str(sources / name) for name in names]
        include = ["-I", str(sources), "-I", str(CORE / "include")]
        subprocess.run([compiler, *RELEASE, *flags, *include, *files, "-o", made], check=True)
        return made

    return build


@pytest.fixture(scope="session")
def interruptible() -> tuple[str, ...]:
    """Before a command that is to be interrupted, whose process id stays the same.

    What is ignored at the start stays ignored: SIGINT in a script's background jobs, SIGHUP under
    nohup; and pytest may have been started so.
    """
    return ("env", "--default-signal=HUP,INT,TERM")


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """wait_for(done): until done() holds, however slow the machine is."""

    def wait(done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                pytest.fail(f"it did not happen in {PATIENCE_S} s")
            time.sleep(0.02)

    return wait


@pytest.fixture
def stopped(tmp_path: Path) -> Callable[..., object]:
    """stopped(run): what run(words, timeout_s) makes of a program that never ends, once it began.

    It is given as little time as it takes to begin. `script` is in the place of its own; it makes
    the file $0 when it has begun.
    """
    begun, never = tmp_path / "begun", tmp_path / "never"
    os.mkfifo(never)

    def stop(
        run: Callable[[Sequence[str], float], T], script: str = f"echo >$0; read x <'{never}'"
    ) -> T:
        for timeout_s in (0.3, 3, 30, PATIENCE_S):
            made = run(["sh", "-c", script, str(begun)], timeout_s)
            if begun.exists():
                return made
        pytest.fail(f"it did not begin in {PATIENCE_S} s")

    return stop


@pytest.fixture
def until_seen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """until_seen(file, holds): the file is there until a look finds memory for which holds(it)."""

    def keep(file: Path, holds: Callable[[resident.Sight], bool]) -> None:
        file.touch()
        look = resident.sight

        def sight(pid: int, at_s: float) -> resident.Sight | None:
            found = look(pid, at_s)
            if found and holds(found):
                file.unlink(missing_ok=True)
            return found

        monkeypatch.setattr(resident, "sight", sight)

    return keep


@pytest.fixture
def until_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until_seen: Callable[..., None]
) -> Callable[..., Path]:
    """until_watched(holds): a file that is there in each watched run until a look finds holds."""
    unseen, measure = tmp_path / "unseen", resident.Watching.measure

    def watched(self: resident.Watching, job: Job) -> Sample:
        unseen.touch()
        return measure(self, job)

    def keep(holds: Callable[[resident.Sight], bool]) -> Path:
        until_seen(unseen, holds)
        unseen.unlink()
        monkeypatch.setattr(resident.Watching, "measure", watched)
        return unseen

    return keep
