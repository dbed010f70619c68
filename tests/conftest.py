"""What tests of several modules need: programs of tests/programs, compiled on the spot."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROGRAMS = Path(__file__).resolve().parent / "programs"
CORE = Path(__file__).resolve().parent.parent / "core"
Compile = Callable[..., Path]

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
