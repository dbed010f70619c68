import json
from dataclasses import replace

import pytest

from hakprof import backends
from hakprof.checkup import Check, Checkup, State, backend_checks, clock_check, machine_checks
from hakprof.cli import main as cli
from hakprof.environment import Machine, Virtualization
from hakprof.model import Availability, CountingBackend
from hakprof.render.checkup import render

QUIET = Machine(
    cpu_model="Some CPU",
    cpu_flags=frozenset(),
    architecture="x86_64",
    cores=8,
    smt=False,
    caches=(),
    virtualization=Virtualization.NONE,
    hypervisor="",
    container="",
    governor="performance",
    turbo=False,
    aslr=2,
    perf_event_paranoid=1,
    seccomp=False,
    load_1min=0.1,
    memory_bytes=16 << 30,
    memory_available_bytes=8 << 30,
    page_bytes=4096,
    transparent_huge_pages="madvise",
    clock_source="tsc",
    kernel="6.1",
    libc="glibc 2.36",
)


def rows(machine: Machine) -> dict[str, Check]:
    return {check.name: check for check in machine_checks(machine)}


def test_a_machine_made_for_measuring_is_all_ok() -> None:
    assert {check.state for check in machine_checks(QUIET)} == {State.OK}
    assert not any(check.advice for check in machine_checks(QUIET))


@pytest.mark.parametrize(
    ("name", "machine", "seen", "advice"),
    [
        ("virtualization", replace(QUIET, virtualization=Virtualization.WSL2), "WSL2", "runs"),
        ("frequency governor", replace(QUIET, governor="powersave"), "powersave", "cpupower"),
        ("turbo", replace(QUIET, turbo=True), "on:", "no_turbo"),
        ("SMT", replace(QUIET, smt=True), "share a core", "--pin"),
        ("ASLR", replace(QUIET, aslr=0), "level 0", "randomize_va_space=2"),
        ("perf_event_paranoid", replace(QUIET, perf_event_paranoid=4), "4:", "paranoid=2"),
        ("seccomp", replace(QUIET, seccomp=True), "filter", "unconfined"),
        ("load", replace(QUIET, load_1min=3.5), "3.5 over one minute on 8 cores", "top"),
        ("free memory", replace(QUIET, memory_available_bytes=100 << 20), "100.0 MiB", "swap"),
        ("huge pages", replace(QUIET, transparent_huge_pages="always"), "always", "madvise"),
        ("clock source", replace(QUIET, clock_source="hpet"), "hpet: slow", "tsc=reliable"),
    ],
)
def test_what_disturbs_is_a_warning_with_advice(
    name: str, machine: Machine, seen: str, advice: str
) -> None:
    check = rows(machine)[name]
    assert check.state is State.WARN
    assert seen in check.seen
    assert advice in check.advice
    assert sum(row.state is State.WARN for row in machine_checks(machine)) == 1


def test_what_is_not_told_is_absent_and_not_ok() -> None:
    silent = replace(
        QUIET,
        smt=None,
        governor=None,
        turbo=None,
        aslr=None,
        perf_event_paranoid=None,
        seccomp=None,
        load_1min=None,
        memory_available_bytes=None,
        transparent_huge_pages=None,
        clock_source=None,
    )
    assert sum(check.state is State.ABSENT for check in machine_checks(silent)) == 10


def test_clock() -> None:
    assert clock_check((4.0e9, 4.01e9)).state is State.OK
    moved = clock_check((3.0e9, 4.0e9))
    assert moved.state is State.WARN
    assert "3.000 GHz to 4.000 GHz, moved 25.0 %" in moved.seen
    assert clock_check(()).state is State.ABSENT


def test_backends_with_reason_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    timing: CountingBackend = backends.TIMING
    gone = Availability(usable=False, label="x", why="x is not installed", advice="install it")
    monkeypatch.setattr(timing, "name", "x", raising=False)
    (row,) = backend_checks([(timing, gone)])
    assert row == Check("x", State.ABSENT, "x is not installed", "install it")


def test_text() -> None:
    found = Checkup(
        schema="s",
        machine=(Check("load", State.WARN, "high", "wait"),),
        backends=(Check("timing", State.OK, "timed"),),
        counts_with="timing",
    )
    assert render(found) == (
        "Machine\n  warn    load    high\n                  -> wait\n\n"
        "Backends, the best first\n  ok      timing  timed\n\n"
        "Counts with timing. 1 warning.\n"
    )


def test_doctor_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "hakprof.doctor/1"
    names = [row["name"] for row in found["backends"]]
    assert names == [backend.name for backend in backends.LADDER]
    assert found["counts_with"] in names
    for row in found["machine"] + found["backends"]:
        assert row["seen"]
