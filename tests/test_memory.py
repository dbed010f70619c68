import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof.cli.main import main
from hakprof.memory import Footprint
from hakprof.model import Allocator, Arm, Target
from hakprof.resident import Sight

GROW = """
import os, sys, time
b = bytearray(48 << 20)
while os.path.exists(sys.argv[1]): time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))


@pytest.fixture
def program(until_watched: Callable[..., Path]) -> list[str]:
    """Allocates; when it is watched, it does not end before that has been seen."""
    unseen = until_watched(lambda sight: sight.peak_bytes > 48 << 20)
    return [sys.executable, "-c", GROW, str(unseen)]


def test_a_programs_memory_is_measured_and_explained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, program: list[str]
) -> None:
    document, picture = tmp_path / "m.json", tmp_path / "m.svg"
    words = ["--json", str(document), "--svg", str(picture), "--timeout", "600s"]
    assert main(["memory", "--alloc", "glibc,hakmem", *words, "--", *program]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "glibc, hakmem served the calls" in shown
    for footprint in json.loads(document.read_text())["footprints"]:
        assert max(sight["peak_bytes"] for sight in footprint["sights"]) > 48 << 20
        if footprint["calls"]:
            assert dict(footprint["calls"]["counts"])["mmap"] >= 1
    assert picture.read_text().startswith("<svg")
    charts = picture.read_text()
    assert all(f"{what} memory" in charts for what in ("resident", "mapped"))
    ET.fromstring(charts)  # noqa: S314 (ours)


def test_an_arm_that_fails_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "--alloc", "glibc", "--", "false"]) == 3
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [(["memory"], "nothing to measure"), (["memory", "larson", "--interval", "0"], "too short")],
)
def test_bad_requests_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_what_a_footprint_says_of_its_sights() -> None:
    target = Target("x", ("x",), is_benchmark=False)
    arm = Arm("glibc", target, Allocator("glibc", None))
    sights = (Sight(0, 100, 0, 0, 0, 0), Sight(1, 300, 20, 30, 0, 0), Sight(3, 200, 20, 30, 5, 0))
    footprint = Footprint(arm, sights, None, None, "")
    assert (footprint.peak_bytes, footprint.mapped_bytes) == (30, 300)
    assert footprint.mean_bytes == pytest.approx((10 * 1 + 20 * 2) / 3)
    assert footprint.last_bytes == 15
    assert Footprint(arm, (), None, None, "").mean_bytes == 0
