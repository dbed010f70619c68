"""The text of a report, to the letter: a change of it must be wanted."""

from dataclasses import replace
from pathlib import Path

import pytest

from hakprof import environment
from hakprof.census import Census
from hakprof.model import (
    Absence,
    Absent,
    Allocator,
    Arm,
    Evidence,
    Figure,
    Kind,
    Proof,
    Target,
    Verdict,
)
from hakprof.render.text import render
from hakprof.report import SCHEMA, Column, Gap, Report

TARGET = Target("bench_tiny", ("/b",), is_benchmark=True, harness_argv=("/n",))
PROGRAM = replace(TARGET, name="sh", is_benchmark=False, harness_argv=())
TIMED = Figure("", 0.0, "ns", Kind.TIMED, "CPU clock", (7.5, 7.7), 0.0084, 20)
FIGURES = {
    "throughput": replace(TIMED, value=131.2e6, unit="1/s", interval=(130.8e6, 131.9e6)),
    "ns_per_op": replace(TIMED, value=7.62, name="ns_per_op"),
    "instructions_per_op": Figure("", 48.31, "per op", Kind.EXACT, "qemu-user 7.2", error=2e-4),
    "cycles_per_op": replace(
        TIMED, value=30.1, unit="per op", kind=Kind.ESTIMATED, source="clock", error=0.03
    ),
    "max_rss_bytes": replace(
        TIMED, value=35.4e6, unit="B", interval=(35e6, 36e6), source="operating system"
    ),
    "branch_miss_share": Figure("", Absent(Absence.MISSING), "fraction", Kind.COUNTED, ""),
}
NET = {
    "ns_per_op": replace(TIMED, value=1.81),
    "instructions_per_op": replace(TIMED, value=25.3, unit="per op"),
}
PROOF = Proof(
    "hakmem",
    "hakmem",
    Verdict.PROVEN,
    (
        Evidence("bindings", Verdict.PROVEN, "all 10 entry points are /lib/libhakmem.so"),
        Evidence("build id", Verdict.PROVEN, "3f2a is mapped and on disk"),
    ),
)


def column(name: str, **changes: object) -> Column:
    allocator = Allocator(name, Path(f"/lib/lib{name}.so"), "1.0", "3f2a9c110000")
    whole = Column(
        arm=Arm(name, TARGET, allocator),
        runs=20,
        ops=40e6,
        figures=FIGURES,
        net=NET,
        values={},
        noise_floor=0.0071,
        proof=replace(PROOF, expected=name, served_by=name),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def report(*columns: Column, **changes: object) -> Report:
    alone = column("harness alone", net={}, proof=None)
    gap = Gap(("branch_miss_share",), Absent(Absence.NOT_SUPPORTED, "no PMU"), "use bare metal")
    whole = Report(
        schema=SCHEMA,
        hakprof="0.1.0",
        started="2026-01-01T00:00:00+00:00",
        run=1,
        command=("hakprof", "stat"),
        machine=environment.read_machine(),
        target=TARGET,
        columns=columns,
        harness=alone,
        gaps=(gap,),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


ONE = """\
bench_tiny on hakmem 1.0 (build 3f2a9c11)
1 thread, 40,000,000 ops a run, 20 runs, each beside a run of the harness alone

                    median       95 % interval      CV  net of harness  got by
throughput       131.2 M/s  130.8 .. 131.9 M/s  0.84 %                  timed, CPU clock
time per op       7.620 ns   7.500 .. 7.700 ns  0.84 %        1.810 ns  timed, CPU clock
instructions/op      48.31             ±0.02 %                   25.30  exact
cycles/op            30.10      7.500 .. 7.700  0.84 %                  estimated ±3.00 %
peak RSS         33.76 MiB  33.38 .. 34.33 MiB  0.84 %                  timed

exact          qemu-user 7.2
estimated      clock
timed          CPU clock; operating system
not supported  branch misses: no PMU; use bare metal

noise floor  0.71 %: by chance alone, two such measurements differ by so much (time per op)
finding      mind the gap
proof        hakmem served the calls
             bindings: all 10 entry points are /lib/libhakmem.so
             build id: 3f2a is mapped and on disk
"""

TWO = """\
bench_tiny on hakmem 1.0 (build 3f2a9c11), glibc 1.0 (build 3f2a9c11)
1 thread, 40,000,000 ops a run, 20 runs, each beside a run of the harness alone

                     hakmem      glibc  harness alone  got by
throughput        131.2 M/s  131.2 M/s      131.2 M/s  timed, CPU clock
  95 % interval     ±0.42 %    ±0.42 %        ±0.42 %
time per op        7.620 ns   7.620 ns       7.620 ns  timed, CPU clock
  95 % interval     ±1.31 %    ±1.31 %        ±1.31 %
  net of harness   1.810 ns   1.810 ns              -
"""


def test_one_allocator() -> None:
    assert render(report(column("hakmem", findings=("mind the gap",)))) == ONE


def test_several_allocators_side_by_side() -> None:
    shown = render(report(column("hakmem", findings=("x",)), column("glibc", findings=("x",))))
    assert shown.startswith(TWO)
    assert "finding      hakmem, glibc: x\n" in shown
    proof = "proof        hakmem, glibc served the calls of their own columns (bindings, build id)"
    assert proof in shown


def test_five_allocators_take_two_tables_of_at_most_100_columns() -> None:
    shown = render(report(*(column(f"allocator{i}") for i in range(5))))
    assert shown.count("throughput") == 2
    assert max(map(len, shown.splitlines())) <= 100


def test_what_is_not_proven_is_spelled_out_beside_what_is() -> None:
    doubt = Evidence("audit", Verdict.REFUTED, "/bin/x is static")
    wrong = Proof("glibc", "the program itself", Verdict.REFUTED, (doubt,))
    shown = render(report(column("hakmem"), column("glibc", proof=wrong)))
    assert "WRONG ALLOCATOR: the program itself served the calls, not glibc" in shown
    assert "audit: /bin/x is static" in shown
    assert "hakmem served the calls of their own columns" in shown


def test_a_partial_override_is_not_said_to_be_itself_and_not() -> None:
    doubt = Evidence("bindings", Verdict.REFUTED, "malloc: libx.so; calloc: libc.so.6")
    partial = Proof("libx.so", "libx.so", Verdict.REFUTED, (doubt,))
    shown = render(report(column("libx.so", proof=partial)))
    assert "WRONG ALLOCATOR: libx.so did not serve all of the calls" in shown


def test_a_census_tells_calls_and_sizes() -> None:
    calls = {"malloc": 60, "free": 50, "bytes_requested": 6400}
    census = Census(calls, sizes=((16, 40), (1024, 20)), processes=2)
    shown = render(report(column("hakmem"), target=PROGRAM, census=census))
    assert "calls  60 allocations, 50 frees, 110 ops of any kind, in 2 processes" in shown
    assert "sizes  107 B on average, half up to 16 B, 99 % up to 1.000 KiB" in shown


def test_a_census_that_failed_says_why() -> None:
    shown = render(report(column("hakmem"), target=PROGRAM, census=Census()))
    assert "calls  unknown: the program wrote no census line" in shown


@pytest.mark.parametrize("census", [Census({"malloc": 60, "free": 50}), Census()])
def test_a_benchmark_counts_its_own_calls(census: Census) -> None:
    """Its census is for the memory that it asks for, and counts its warm-up too."""
    shown = render(report(column("hakmem"), census=census))
    assert shown == render(report(column("hakmem")))
