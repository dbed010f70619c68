"""The wheel is whole: installed elsewhere and run from another folder it measures."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", folder, "--config-settings", f"build-dir={folder / 'build'}", ROOT),
        ],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new venv with the wheel in it; the dependencies are those of the running one."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    (site,) = (home / "lib").glob("python*/site-packages")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", home, "install", "--quiet", "--no-deps"),
            *("--no-index", wheel),
        ],
        check=True,
    )
    # Behind its own site-packages, so that hakprof itself can only come from the wheel.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "hakprof"


def test_wheel_holds_libraries_benchmarks_schemas_and_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in (
        "_native/lib/libhakmem.so",
        "_native/lib/libhakmem-counters.so",
        "_native/bench/bench_random_mixed",
        "_native/counters/hakmem.toml",
        "data/benchmarks/bench_tiny.toml",
        "data/peers/mimalloc.toml",
    ):
        assert f"hakprof/{part}" in names


def test_installed_wheel_measures_from_another_folder(installed: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(installed, "stat", "bench_random_mixed", "--runs", "3", "--iters", "200000"),
            *("--json", report),
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HAKPROF_HOME": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hakmem served the calls" in done.stdout
    assert json.loads(report.read_text())
    where = subprocess.run(
        [installed.parent / "python", "-c", "import hakprof; print(hakprof.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(installed.parent.parent))
