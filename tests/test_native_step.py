"""The stepper: kernels of known length, what could lose it, and the trace it writes."""

import json
import os
import platform
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hakprof import native

Compile = Callable[..., Path]
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="only x86 has a trap flag that a program can set"
)


def step(*argv: str | Path, **env: str) -> dict[str, Any]:
    reader, writer = os.pipe()
    try:
        subprocess.run(
            [*argv],
            env={
                **os.environ,
                "LD_PRELOAD": str(native.library("hakstep")),
                "HAKSTEP_FD": str(writer),
                "HAKBENCH_CLOCK": "0",
                **env,
            },
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=600,
        )
        os.close(writer)
        writer = -1
        line: dict[str, Any] = json.loads(os.read(reader, 1 << 16))
        return line
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def slope(kernel: str, turns: int, key: str = "instructions") -> float:
    """Of two lengths, so that entering and leaving the region cancel."""
    short, long = (step(native.program("haktruth"), kernel, str(turns * n)) for n in (1, 2))
    return float(long[key] - short[key]) / turns


@pytest.mark.parametrize(
    ("kernel", "turns", "instructions"),
    [
        ("loop7", 100, 7),
        ("mul", 160, 18 / 16),
        ("add2", 160, 34 / 16),
        ("chase", 160, 18 / 16),
        ("branchy", 100, 7),
        ("syscall", 100, 5),
        ("memset", 1, 5),
        ("crossing", 100, 5),
    ],
)
def test_kernels_are_counted_to_the_instruction(
    kernel: str, turns: int, instructions: float
) -> None:
    assert slope(kernel, turns) == instructions


def test_a_repeated_instruction_is_stepped_by_the_byte_and_counted_once() -> None:
    assert slope("memset", 1, "steps") >= 8192


def test_a_limit_ends_the_stepping_and_not_the_program() -> None:
    line = step(native.program("haktruth"), "loop7", "1000000", HAKSTEP_LIMIT="500")
    assert line["limit"] is True
    assert line["steps"] == 500


@pytest.mark.parametrize("hazard", ["nothing", "block", "thread", "fork", "signal"])
def test_survives(hazard: str, compile_c: Compile) -> None:
    line = step(compile_c("hazards", "hazards.c", "-fPIE", "-pie", "-pthread"), hazard)
    assert "error" not in line
    least = {"nothing": 1, "block": 30, "thread": 300, "fork": 100, "signal": 30}[hazard]
    assert line["instructions"] >= least


def test_says_that_it_was_lost(compile_c: Compile) -> None:
    line = step(compile_c("hazards", "hazards.c", "-fPIE", "-pie", "-pthread"), "clear")
    assert line == {"hakstep": 1, "error": "the program cleared the trap flag"}


def test_one_thread_is_stepped_while_the_others_run(compile_c: Compile) -> None:
    del compile_c
    args = ("--iters", "30", "--warmup", "10", "--chunks", "50", "--threads")
    one = step(native.benchmark("larson"), *args, "1")
    three = step(native.benchmark("larson"), *args, "3")
    assert three["instructions"] < 2 * one["instructions"]


def test_threads_that_come_and_go_are_not_stepped() -> None:
    line = step(native.benchmark("thread_churn"), "--iters", "2", "--warmup", "1")
    assert "error" not in line
    assert line["instructions"] > 2 * 10


def test_trace_holds_every_address_in_order(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    args = (native.program("haktruth"), "loop7", "50")
    line = step(*args, HAKSTEP_TRACE=str(file))
    data = file.read_bytes()
    assert data[:8] == b"HAKSTEP1"
    (maps_bytes,) = struct.unpack_from("=Q", data, 8)
    assert "haktruth" in data[16 : 16 + maps_bytes].decode()
    addresses = struct.unpack(f"={line['instructions']}Q", data[16 + maps_bytes :])
    in_loop = [a for a in addresses if addresses.count(a) == 50]
    assert len(in_loop) == 7 * 50
    assert in_loop == sorted(set(in_loop)) * 50


def test_trace_that_cannot_be_written_is_said() -> None:
    line = step(native.program("haktruth"), "loop7", "5", HAKSTEP_TRACE="/no/such/folder/x")
    assert "No such file" in line["error"]
