import json
import shutil

import pytest

from hakprof import benchmarks
from hakprof.cli.main import main


def test_every_benchmark_allocator_and_backend_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in (*benchmarks.all_benchmarks(), "hakmem", "glibc", "mimalloc", "timing", "stepper"):
        assert f"\n  {name} " in shown
    assert "\x1b" not in shown


def test_what_is_missing_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **_: None if name == "valgrind" else real(name)
    )
    assert main(["list"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "callgrind not here: valgrind is not installed; apt-get install valgrind" in shown
    assert "snmalloc - not here; " in shown


def test_the_document_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "hakprof.list/1"
    assert {row["name"] for row in data["benchmarks"]} == set(benchmarks.all_benchmarks())
    assert data["backends"][-1]["availability"]["usable"] is True
    glibc = next(row for row in data["allocators"] if row["name"] == "glibc")
    assert glibc["allocator"]["library"] is None
