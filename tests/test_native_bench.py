"""The benchmark programs: what they report, refuse, and leave alone."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hakprof import native
from hakprof.benchmarks import all_benchmarks

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
WORK = {
    "bench_tiny": ["--iters", "20", "--warmup", "3"],
    "bench_random_mixed": ["--iters", "5000", "--warmup", "500"],
    "larson": ["--iters", "12000", "--warmup", "100", "--threads", "2", "--chunks", "500"],
    "scenario": ["--iters", "20", "--warmup", "2"],
    "xthread": ["--iters", "5000", "--warmup", "500", "--threads", "2"],
    "workloads": ["--iters", "500", "--warmup", "50"],
    "thread_churn": ["--iters", "20", "--warmup", "2"],
}
CASES = [
    pytest.param(name, [*args, *preset], id=f"{name}:{label}")
    for name, args in WORK.items()
    for label, preset in {"": (), **all_benchmarks()[name].presets}.items()
]


def start(
    program: str, *args: str, check: bool = True, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [native.benchmark(program), *args],
        env={**os.environ, "HAKBENCH_CLOCK": "0", **env},
        capture_output=True,
        text=True,
        check=check,
        timeout=600,
    )


def report(program: str, *args: str, **env: str) -> dict[str, Any]:
    found = start(program, *args, **env)
    assert found.stderr == ""
    line: dict[str, Any] = json.loads(found.stdout)
    return line


def test_every_described_benchmark_is_built() -> None:
    assert set(all_benchmarks()) == set(WORK)


@pytest.mark.parametrize(("name", "args"), CASES)
def test_counts_are_consistent_and_the_same_without_an_allocator(
    name: str, args: list[str]
) -> None:
    real, null = report(name, *args), report(f"{name}-null", *args)
    assert real["hakbench"] == 1
    assert real["benchmark"] == name
    assert real["ops"] == real["allocs"] + real["frees"] + real["reallocs"] > 0
    assert min(real["allocs"], real["frees"]) > 0
    least, most = sizes(real["args"])
    assert least * real["allocs"] <= real["bytes_requested"] <= most * real["allocs"]
    assert real["roi_ns"] > 0
    assert "clock_hz" not in real
    assert (real["harness_only"], null["harness_only"]) == (False, True)
    same = ("args", "threads", "ops", "allocs", "frees", "reallocs", "bytes_requested", "checksum")
    assert {key: real[key] for key in same} == {key: null[key] for key in same}


def sizes(args: dict[str, Any]) -> tuple[float, float]:
    """Of a block at least and at most, by the benchmark's own word; 16 B where it says nothing."""
    if "size" in args:
        return args["size"], args["size"]
    return args.get("min", 16), args.get("max", float("inf"))


def test_ops_are_those_of_the_pattern() -> None:
    for pattern in ("lifo", "fifo", "random", "interleaved", "long-lived"):
        found = report("bench_tiny", pattern, "--iters", "7", "--size", "24")
        assert (found["allocs"], found["frees"]) == (700, 700)
        assert found["bytes_requested"] == 700 * 24
        assert found["args"] == {"pattern": pattern, "size": 24}


def test_bare_arguments_are_iterations_slots_and_seed() -> None:
    found = report("bench_random_mixed", "3000", "50", "9", "--min", "64", "--max", "64")
    assert found["ops"] == 3000
    assert found["args"] == {"ws": 50, "seed": 9, "min": 64, "max": 64}
    assert found["bytes_requested"] == 64 * found["allocs"]
    other = report("bench_random_mixed", "3000", "50", "10", "--min", "64", "--max", "64")
    assert other["checksum"] != found["checksum"]


def test_sizes_spread_evenly_between_the_limits() -> None:
    found = report("bench_random_mixed", "200000")
    assert found["bytes_requested"] / found["allocs"] == pytest.approx((16 + 1040) / 2, rel=0.01)
    assert found["allocs"] == pytest.approx(100_000, rel=0.01)


def test_threads_share_nothing_but_the_start() -> None:
    one = report("bench_random_mixed", "--iters", "1000", "--threads", "1")
    three = report("bench_random_mixed", "--iters", "1000", "--threads", "3")
    assert three["threads"] == 3
    assert three["ops"] == 3 * one["ops"]


@pytest.mark.parametrize("library", ["libmimalloc.so.2", "libjemalloc.so.2", "libhakmem.so"])
def test_other_allocators_serve_the_same_calls(library: str) -> None:
    path = LIBRARIES / library
    if library == "libhakmem.so":
        path = native.NATIVE / "lib" / library
    if not path.exists():
        pytest.skip(f"{library} is not installed")
    for name, args in WORK.items():
        with_it = report(name, *args, LD_PRELOAD=str(path))
        assert with_it["checksum"] == report(name, *args)["checksum"], name


def test_clock_is_calibrated_before_and_after() -> None:
    found = report("bench_tiny", "--iters", "10", HAKBENCH_CLOCK="1")
    assert len(found["clock_hz"]) == 2
    assert all(2e8 < hz < 1e10 for hz in found["clock_hz"])
    assert found["adds_per_cycle"].keys() == {"before", "after"}
    assert all(0.2 < adds < 16 for adds in found["adds_per_cycle"].values())


def test_report_goes_to_the_named_descriptor() -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [native.benchmark("bench_tiny"), "--iters", "5"],
            env={**os.environ, "HAKBENCH_FD": str(writer)},
            pass_fds=[writer],
            capture_output=True,
            check=True,
        )
        assert done.stdout == b""
        assert json.loads(os.read(reader, 1 << 16))["ops"] == 1000
    finally:
        os.close(reader)
        os.close(writer)


def test_perf_is_switched_on_before_and_off_behind_the_region() -> None:
    """The control pipe: each order waits for its answer."""
    order_reader, order_writer = os.pipe()
    answer_reader, answer_writer = os.pipe()
    os.write(answer_writer, b"ack\n\0ack\n\0")  # perf ends its answers with a NUL
    try:
        subprocess.run(
            [native.benchmark("bench_tiny"), "--iters", "5"],
            env={**os.environ, "HAKBENCH_PERF_CTL": f"{order_writer},{answer_reader}"},
            pass_fds=[order_writer, answer_reader],
            capture_output=True,
            check=True,
        )
        assert os.read(order_reader, 100) == b"enable\ndisable\n"
    finally:
        for descriptor in (order_reader, order_writer, answer_reader, answer_writer):
            os.close(descriptor)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("bench_tiny", "lofi"), "unknown pattern 'lofi'"),
        (("bench_tiny", "--size", "0"), "size: '0' is not a number from 1 to"),
        (("bench_tiny", "--size", "-1"), "size: '-1' is not a number"),
        (("bench_tiny", "--size", "12x"), "size: '12x' is not a number"),
        (("bench_tiny", "--iters"), "option '--iters' needs a value"),
        (("bench_tiny", "--threads", "99999999999999999999"), "is not a number"),
        (("bench_tiny", "--speed", "9"), "unexpected '--speed'"),
        (("bench_random_mixed", "5", "400", "1", "7"), "unexpected '7'"),
        (("bench_random_mixed", "--min", "9", "--max", "8"), "--min 9 is more than --max 8"),
        (("larson", "--min", "9", "--max", "8"), "--min 9 is more than --max 8"),
        (("xthread", "pairs", "--threads", "3"), "3 threads do not make pairs"),
        (("xthread", "--threads", "1"), "threads: '1' is not a number from 2"),
        (("workloads", "none"), "unknown kind 'none'"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(args: tuple[str, ...], complaint: str) -> None:
    done = start(*args, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert done.stderr.startswith(f"{args[0]}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["3", "a,b", "3,", ",3", "3,4x"])
def test_bad_perf_control_is_refused(value: str) -> None:
    done = start("bench_tiny", "--iters", "1", check=False, HAKBENCH_PERF_CTL=value)
    assert done.returncode == 2
    assert "HAKBENCH_PERF_CTL" in done.stderr


def test_out_of_memory_is_said() -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 100000; exec "$0" vm --slots 100', native.benchmark("scenario")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == "scenario: an allocation of 2097152 bytes failed\n"


@pytest.mark.parametrize("name", WORK)
def test_help_names_every_option(name: str) -> None:
    text = start(name, "--help").stdout
    assert text.startswith(f"Usage: {name} ")
    for option in report(name, *WORK[name])["args"]:
        assert f"--{option} " in text


def test_null_preload_serves_the_region_alone() -> None:
    null = str(native.library("haknull"))
    for name, args in WORK.items():
        bare, nothing = report(name, *args), report(name, *args, LD_PRELOAD=null)
        assert nothing["checksum"] == bare["checksum"], name
        assert nothing["ops"] == bare["ops"], name
