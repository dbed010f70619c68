import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hakprof.cli.main import main
from hakprof.compare import Judgement
from hakprof.scaling import Cause

SURE = {Judgement.FASTER, Judgement.SLOWER, Judgement.NO_DIFFERENCE}
SHORT = ["--iters", "20k", "--runs", "3", "--", "--warmup", "100"]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))


def test_threads_are_swept_fitted_and_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document, picture = tmp_path / "s.json", tmp_path / "s.svg"
    files = ["--json", str(document), "--svg", str(picture)]
    words = ["sweep", "larson", "--threads", "4,1,2", "--alloc", "glibc", *files, *SHORT]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "knee" in shown
    assert "contention" in shown
    assert "glibc served the calls" in shown
    curve = json.loads(document.read_text())["curves"][0]
    assert list(curve["points"]) == ["1", "2", "4"]
    assert curve["law"]["cause"] in set(Cause)
    assert [p["arm"]["target"]["threads"] for p in curve["points"].values()] == [1, 2, 4]
    assert "larson" in ET.fromstring(picture.read_text()).get("aria-label", "")  # noqa: S314 (ours)


def test_points_are_judged_against_the_first_curve(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document, picture = tmp_path / "s.json", tmp_path / "s.png"
    pytest.importorskip("matplotlib")
    words = ["sweep", "larson", "--threads", "1,2", "--alloc", "glibc,hakmem", "--runs", "7"]
    files = ["--json", str(document), "--png", str(picture)]
    assert main([*words, *files, "--iters", "100k", "--", "--warmup", "100"]) == 0
    shown = capsys.readouterr().out
    assert "against glibc" in shown
    assert "freed by another thread" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    first, second = json.loads(document.read_text())["curves"]
    assert first["verdicts"] == {}
    for verdict in (second["verdicts"]["1"], second["verdicts"]["2"]):
        assert verdict["blocks"] == 7
        assert verdict["judgement"] in SURE  # which, is a matter of the machine
        assert verdict["speed"]["low"] <= verdict["speed"]["value"] <= verdict["speed"]["high"]
    remote = json.loads(document.read_text())["remote"]
    assert list(remote) == ["2"]
    assert 0 < remote["2"] < 1


def test_too_few_runs_say_how_many_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "bench_tiny", "--threads", "1,2", "--alloc", "glibc,hakmem", "--iters", "500"]
    assert main([*words, "--runs", "2"]) == 0
    assert "need 7 runs of each point" in " ".join(capsys.readouterr().out.split())


def test_png_without_matplotlib_is_said_before_anything_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["sweep", "larson", "--threads", "1,2", "--png", "x.png"]) == 2
    assert "pip install 'hakprof[png]'" in capsys.readouterr().err


def test_sizes_are_swept_without_a_law(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "bench_random_mixed", "--vary", "min,max=64,4k", "--alloc", "glibc", *SHORT]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "min = max" in shown
    assert "4,000" in shown
    assert "knee" not in shown


def test_a_point_that_fails_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "bench_random_mixed", "--vary", "max=20,1000", "--alloc", "glibc"]
    assert main([*words, *SHORT, "--min", "30"]) == 3
    shown = capsys.readouterr().out
    assert "failed  glibc @ 20: bench_random_mixed: exit code 2" in " ".join(shown.split("\n"))
    assert "M/s" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing is varied"),
        (["--threads", "4"], "nothing is varied"),
        (["--threads", "1,x"], "--threads"),
        (["--threads", "1,300"], "too many"),
        (["--threads", "1,2", "--runs", "99999999999999999999"], "'--runs'"),
        (["--threads", "1,2", "--vary", "ws=1,2"], "both vary"),
        (["--vary", "ws"], "varies nothing"),
        (["--vary", "ws=1,-2"], "--vary ws"),
    ],
)
def test_bad_axes_are_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["sweep", "bench_random_mixed", "--alloc", "glibc", *options]) == 2
    assert message in capsys.readouterr().err
