"""Finds a perf that runs on this kernel, and switches it on and off from within the program."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hakprof.backends import launch
from hakprof.errors import BackendError
from hakprof.process import PATIENCE_S, Command, find_program, run

HOST_ROOT = Path("/")
INSTALL = "Debian: apt-get install linux-perf; Ubuntu: apt-get install linux-tools-generic"

CONTROL_ENV = "HAKBENCH_PERF_CTL"
JSON_SINCE = (6, 0)
CONTROL_SINCE = (5, 10)


@dataclass(frozen=True, slots=True)
class PerfTool:
    """A perf that answered, and what its version can."""

    path: Path
    version: tuple[int, int]

    @property
    def label(self) -> str:
        """`perf 6.1`."""
        return f"perf {self.version[0]}.{self.version[1]}"

    @property
    def writes_json(self) -> bool:
        """Knows -j; the others write separated values."""
        return self.version >= JSON_SINCE

    @property
    def has_control(self) -> bool:
        """Can be switched on and off through a pipe by the program that it measures."""
        return self.version >= CONTROL_SINCE


def find_perf(root: Path = HOST_ROOT) -> PerfTool:
    """The perf in PATH, or one that a distribution's wrapper in PATH refuses to start.

    Ubuntu's /usr/bin/perf starts only what was packaged for the running kernel; on WSL2 and other
    foreign kernels a usable one lies next to it. Raises BackendError with what was tried.
    """
    refusal = ""
    for path in _candidates(root):
        answer = run(Command([str(path), "--version"], timeout_s=PATIENCE_S, merge_output=True))
        match = re.search(rb"perf version (\d+)\.(\d+)", answer.stdout)
        if answer.exit.ok and match:
            return PerfTool(path, (int(match[1]), int(match[2])))
        refusal = refusal or f"{path} does not run here ({launch.first_line(answer.stdout)})"
    raise BackendError(refusal or "perf is not installed", advice=INSTALL)


def _candidates(root: Path) -> Iterator[Path]:
    in_path = find_program("perf")
    if in_path:
        yield in_path
    found = [*root.glob("usr/lib/linux-tools*/**/perf"), *root.glob("usr/bin/perf_*")]
    yield from sorted(found, key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


@contextlib.contextmanager
def control(*, active: bool) -> Iterator[tuple[tuple[str, ...], dict[str, str], tuple[int, ...]]]:
    """Options of perf, the program's environment and the pipes by which the two talk."""
    if not active:
        yield (), {}, ()
        return
    orders, orders_in = os.pipe()
    answers, answers_in = os.pipe()
    try:
        yield (
            ("-D", "-1", "--control", f"fd:{orders},{answers_in}"),
            {CONTROL_ENV: f"{orders_in},{answers}"},
            (orders, orders_in, answers, answers_in),
        )
    finally:
        for descriptor in (orders, orders_in, answers, answers_in):
            os.close(descriptor)
