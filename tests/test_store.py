import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hakprof.errors import StoreError
from hakprof.model import Allocator, Arm, Exit, ExitKind, Kind, Reading, Sample, Target
from hakprof.store import Keeper, Store, home

ARM = Arm("glibc", Target("true", ("/bin/true",), is_benchmark=False), Allocator("glibc", None))


def sample(index: int = 0) -> Sample:
    reading = Reading("wall_ns", 1.5e6, "ns", Kind.TIMED, "clock")
    return Sample("glibc", index, "timing", Exit(ExitKind.CODE, 0), (reading,))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKPROF_HOME", "/a")
    assert home() == Path("/a")
    monkeypatch.delenv("HAKPROF_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/b")
    assert home() == Path("/b/hakprof")


def test_a_run_comes_back_as_it_was(folder: Path) -> None:
    store = Store()
    run = store.new_run(["stat", "x y", "$(z)"], {"cpu": "Zen"}, [ARM])
    store.add(run, sample(0))
    store.add(run, sample(1))
    store.finish(run, "done")
    store.close()
    again = Store(folder)
    assert [(r.id, r.command, r.outcome) for r in again.runs()] == [
        (run, ("stat", "x y", "$(z)"), "done")
    ]
    assert again.arms(run) == [ARM]
    assert again.samples(run) == [sample(0), sample(1)]
    assert again.artefacts(run).is_dir()


def start(code: str) -> subprocess.Popen[bytes]:
    """A hakprof of its own that keeps samples in the same store."""
    lines = ["from hakprof.store import Keeper", "from test_store import ARM, sample"]
    opened = "keeper = Keeper(['stat'], {}, [ARM])"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", "\n".join([*lines, opened, code])], env=env)


@pytest.mark.usefixtures("folder")
def test_a_run_that_died_is_unfinished_with_its_samples() -> None:
    assert start("keeper.keep(sample()); import os; os._exit(9)").wait() == 9
    store = Store()
    assert store.runs()[0].outcome == "unfinished"
    assert store.samples(store.runs()[0].id) == [sample()]


@pytest.mark.usefixtures("folder")
def test_two_runs_at_once_both_keep_everything() -> None:
    code = """
for i in range(100):
    keeper.keep(sample(i))
keeper.finish("done")
assert keeper.problem is None, keeper.problem
"""
    both = [start(code) for _ in range(2)]
    assert [child.wait() for child in both] == [0, 0]
    store = Store()
    assert [len(store.samples(run.id)) for run in store.runs()] == [100, 100]
    assert all(run.outcome == "done" for run in store.runs())


def test_a_store_of_another_version_is_refused_untouched(folder: Path) -> None:
    folder.mkdir()
    db = sqlite3.connect(folder / "store.sqlite3")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="version 99"):
        Store()


def test_a_file_that_is_no_store_is_one_clear_line(folder: Path) -> None:
    folder.mkdir()
    (folder / "store.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        Store()
    assert "\n" not in str(caught.value)


def test_a_home_that_cannot_be_written_is_remembered_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "file" / "home"))
    keeper = Keeper(["stat"], {}, [ARM])
    keeper.keep(sample())
    keeper.finish("done")
    assert keeper.problem is not None
    assert keeper.problem.exit_code == 7
