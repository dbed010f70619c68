import os
import subprocess
import sys

from hakprof.model import Allocator, Job, Target
from hakprof.process import Command, run
from hakprof.resident import Watch, Watching, family, sight

ALLOCATE = "import time; b = b'x' * (64 << 20); time.sleep(0.3); del b; time.sleep(0.3)"


def test_resident_memory_is_seen_to_rise_and_fall() -> None:
    watches: list[Watch] = []

    def beside(pid: int) -> Watch:
        watches.append(Watch(pid, interval_s=0.02))
        return watches[0]

    outcome = run(Command((sys.executable, "-c", ALLOCATE)), beside)
    assert outcome.exit.ok
    resident = [sight.resident_bytes for sight in watches[0].sights]
    assert max(resident) >= 64 << 20
    assert resident[-1] < max(resident) - (60 << 20)
    assert all(s.mapped_bytes >= s.resident_bytes for s in watches[0].sights)
    times = [s.at_s for s in watches[0].sights]
    assert times == sorted(times)


def test_what_was_mapped_only_for_a_moment_counts() -> None:
    code = "import mmap, time; mmap.mmap(-1, 1 << 30).close(); time.sleep(0.5)"
    target = Target("python", (sys.executable, "-c", code), is_benchmark=False)
    sample = Watching().measure(Job("glibc", 0, target, Allocator("glibc", None)))
    (peak,) = sample.readings
    assert peak.name == "mapped_bytes"
    assert isinstance(peak.value, float)
    assert peak.value > 1 << 30


def test_a_process_that_is_gone_is_not_seen() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert sight(child.pid, 0.0) is None


def test_children_count() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 5 & wait"])
    try:
        for _ in range(200):
            found = list(family(child.pid))
            if len(found) == 2:
                break
            os.sched_yield()
        assert found[0] == child.pid
        assert child.pid in family(os.getpid())
    finally:
        subprocess.run(["kill", *map(str, found)], check=False)
        child.wait()
