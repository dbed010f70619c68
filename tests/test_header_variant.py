"""libhakmem-header.so: the class before each block, and what writing it costs."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof import native
from hakprof.cli import main as cli
from hakprof.hotspots import annotate, code, recording

SYMBOL = "tiny_region_id_write_header"
Compile = Callable[..., Path]


def _run(program: Path, library: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LD_PRELOAD": str(native.library(library))}
    return subprocess.run([program], env=env, capture_output=True, text=True, check=False)


def test_every_block_has_its_class_before_it(compile_c: Compile) -> None:
    program = compile_c("headers", "headers.c", "-fno-builtin")
    done = _run(program, "hakmem-header")
    assert (done.returncode, done.stdout) == (0, "")
    assert _run(program, "hakmem").returncode == 1  # the release build writes none


def test_the_cost_of_the_header_is_shown_where_it_was_inlined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    words = ["bench_random_mixed", "--alloc", "hakmem:header", "--source", "stepper"]
    assert cli.main(["record", *words]) == 0
    assert cli.main(["annotate", SYMBOL]) == 0
    shown = capsys.readouterr().out
    assert f"{SYMBOL}: 0 functions, inlined into" in shown
    assert "libhakmem-header.so: malloc" in shown
    assert "region_header.h:" in shown
    made = recording.load(tmp_path / "home" / "runs" / "1")
    found = annotate.annotate(made, code.build(recording.sources(made)), SYMBOL)
    assert 0.4 < (found.total[0].per_op or 0) < 1.1  # one or two for each allocation
