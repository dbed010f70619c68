"""hakprof stat --counters."""

import subprocess
import sys
from pathlib import Path

import pytest

SHORT = ["--runs", "3", "--warmup", "0", "--backend", "timing"]


def stat(
    monkeypatch: pytest.MonkeyPatch, home: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("HAKPROF_HOME", str(home))
    command = [sys.executable, "-P", "-m", "hakprof", "stat", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_counts_and_their_cost_stand_beside_the_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["bench_random_mixed", "--iters", "200k", *SHORT, "--counters"]
    done = stat(monkeypatch, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "Cost of counting: " in done.stdout
    assert "pairs of both builds" in done.stdout
    assert "Refill ladder" in done.stdout
    assert "21 of 21 hold" in done.stdout


def test_a_program_and_all_its_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = stat(monkeypatch, tmp_path, *SHORT, "--counters", "--", "sh", "-c", "ls / | sort")
    assert done.returncode == 0, done.stderr
    assert "Processes" in done.stdout
    assert done.stdout.count("all 21 hold") == 2  # ls and sort; dash leaves by _exit


def test_without_hakmem_there_is_nothing_to_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = stat(monkeypatch, tmp_path, "bench_tiny", "--alloc", "glibc", "--counters")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
