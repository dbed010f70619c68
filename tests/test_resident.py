import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof import resident
from hakprof.model import Allocator, Job, Target
from hakprof.process import Command, run
from hakprof.resident import Watch, Watching, family, sight

UntilSeen = Callable[..., None]
HOLD = "import os, sys, time\ndef hold(file):\n  while os.path.exists(file): time.sleep(0.01)\n"
ALLOCATE = HOLD + "b = b'x' * (64 << 20); hold(sys.argv[1]); del b; hold(sys.argv[2])"
MOMENT = HOLD + "import mmap; mmap.mmap(-1, 1 << 30).close(); hold(sys.argv[1])"


def test_resident_memory_is_seen_to_rise_and_fall(tmp_path: Path, until_seen: UntilSeen) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    until_seen(full, lambda sight: sight.resident_bytes >= 64 << 20)
    until_seen(empty, lambda sight: not full.exists() and sight.resident_bytes < 32 << 20)
    watches: list[Watch] = []

    def beside(pid: int) -> Watch:
        watches.append(Watch(pid, interval_s=0.02))
        return watches[0]

    program = (sys.executable, "-c", ALLOCATE, str(full), str(empty))
    outcome = run(Command(program, timeout_s=600), beside)
    assert outcome.exit.ok
    resident = [sight.resident_bytes for sight in watches[0].sights]
    assert max(resident) >= 64 << 20
    assert resident[-1] < 32 << 20
    assert all(s.mapped_bytes >= s.resident_bytes for s in watches[0].sights)
    times = [s.at_s for s in watches[0].sights]
    assert times == sorted(times)


def test_what_was_mapped_only_for_a_moment_counts(tmp_path: Path, until_seen: UntilSeen) -> None:
    looked = tmp_path / "looked"
    until_seen(looked, lambda sight: sight.most_mapped_bytes > 1 << 30)
    program = (sys.executable, "-c", MOMENT, str(looked))
    target = Target("python", program, is_benchmark=False)
    job = Job("glibc", 0, target, Allocator("glibc", None), timeout_s=600)
    sample = Watching().measure(job)
    (peak,) = sample.readings
    assert peak.name == "mapped_bytes"
    assert isinstance(peak.value, float)
    assert peak.value > 1 << 30


def test_a_process_whose_program_is_not_yet_mapped_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps_rollup").write_text("Rss:                   4 kB\n")
    status = tmp_path / "7" / "status"
    status.write_text("VmPeak:\t       4 kB\nVmSize:\t       4 kB\nVmExe:\t       0 kB\n")
    assert sight(7, 0.0) is None
    status.write_text("VmPeak:\t    5476 kB\nVmSize:\t    5472 kB\nVmExe:\t      16 kB\n")
    seen = sight(7, 0.0)
    assert seen
    assert seen.most_mapped_bytes == 5476 << 10


def test_a_process_that_is_gone_is_not_seen() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert sight(child.pid, 0.0) is None


def test_children_count(wait_for: Callable[[Callable[[], bool]], None]) -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], process_group=0)
    try:
        wait_for(lambda: len(list(family(child.pid))) == 2)
        assert next(family(child.pid)) == child.pid
        assert child.pid in family(os.getpid())
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
