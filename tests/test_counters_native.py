"""libhakmem-counters.so under real programs: every block accounted for, however they end."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakprof.counters.dump import Dump, State
from hakprof.counters.identities import check_all
from hakprof.counters.read import live_file_of, read_dumps, read_live
from hakprof.counters.view import View, difference_view, view_of
from hakprof.native import counter_schema, library
from hakprof.schema import load

SCHEMA = load(counter_schema("hakmem"))
COUNTERS = library("hakmem-counters")
CHILDREN = 10  # of churn that ends by fork
Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def churn(compile_c: Compile) -> Path:
    return compile_c("churn", "churn.c", "-pthread")


def environment(target: str, **more: str) -> dict[str, str]:
    return os.environ | {"LD_PRELOAD": str(COUNTERS), "HAKMEM_COUNTERS": target} | more


def run(
    command: list[str | Path], folder: Path, target: str = "dump.json", **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(target, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@contextlib.contextmanager
def running(command: list[str | Path], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Is killed at the end, whatever that is."""
    with subprocess.Popen(
        command, cwd=folder, env=environment("dump.json"), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def broken(dump: Dump) -> list[str]:
    """Identities that do not hold; all of them must have been checked if the dump is the last."""
    checks = check_all(SCHEMA, dump)
    if dump.state is State.FINISHED:
        assert not [check.identity.name for check in checks if check.missing]
    return [f"{c.identity.name}: {c.breaches[0]}" for c in checks if c.breaches]


def one(path: Path) -> Dump:
    (dump,) = read_dumps(path)
    assert dump.problems == ()
    return dump


def calls(view: View) -> tuple[int, int, int]:
    """Allocations, frees and reallocations as the program made them."""
    moved = view.sum("realloc_moved")
    return view.allocs - moved, view.frees - moved, view.sum("realloc_in_place") + moved


def assert_exact(folder: Path, output: str) -> None:
    before, after = one(folder / "before.json"), one(folder / "after.json")
    assert broken(before) == broken(after) == []
    own = tuple(int(word) for word in output.split()[:3])
    assert calls(difference_view(before, after)) == own


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    threads=st.integers(1, 8),
    ops=st.integers(1, 6000),
    largest=st.sampled_from([64, 1024, 40_000, 200_000, 3_000_000]),
    cache_kib=st.sampled_from(["1", "16"]),
)
def test_random_programs_obey_all_identities_and_their_own_count(
    *,
    seed: int,
    threads: int,
    ops: int,
    largest: int,
    cache_kib: str,
    churn: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("churn")
    command = [churn, *map(str, (seed, threads, ops, largest)), "exit"]
    done = run(command, folder, HAKMEM_CACHE_KIB=cache_kib, HAKMEM_DECAY_MS="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert_exact(folder, done.stdout)
    dump = one(folder / "dump.json")
    assert dump.state is State.FINISHED
    assert broken(dump) == []
    # A thread whose few steps allocate nothing is never known.
    assert dump.threads_ended == 2 * threads if ops >= 100 else dump.threads_ended <= 2 * threads
    assert not list(folder.glob("*.live"))


def test_a_thousand_threads_at_once(churn: Path, tmp_path: Path) -> None:
    done = run([churn, "5", "1200", "20", "600", "exit"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert_exact(tmp_path, done.stdout)
    assert len(one(tmp_path / "after.json").threads) > 1200
    assert broken(one(tmp_path / "dump.json")) == []


@pytest.mark.parametrize(
    ("ending", "status"),
    [("_exit", 0), ("kill", -signal.SIGKILL), ("abort", -signal.SIGABRT)],
)
def test_what_was_counted_survives_the_process(
    ending: str, status: int, churn: Path, tmp_path: Path
) -> None:
    done = run([churn, "3", "4", "3000", "40000", ending], tmp_path)
    assert done.returncode == status
    assert not (tmp_path / "dump.json").exists()
    dead, after = one(tmp_path / "dump.json"), one(tmp_path / "after.json")
    assert dead.state is State.DIED
    assert broken(dead) == []
    # Between the last dump and the end the program did little; nothing is lost.
    assert 0 <= view_of(dead).allocs - view_of(after).allocs < 20


def test_a_kill_in_the_middle_of_the_work_is_readable(
    churn: Path, tmp_path: Path, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    command = [churn, "3", "4", "2000000000", "4000", "exit"]
    with running(command, tmp_path) as process:
        wait_for((tmp_path / "before.json").exists)
        live = live_file_of(process.pid)
        first, second = view_of(read_live(live)), view_of(read_live(live))
    dead = one(tmp_path / "dump.json")
    assert dead.state is State.DIED
    assert first.allocs <= second.allocs <= view_of(dead).allocs


def test_a_running_process_is_found_by_its_id(churn: Path, tmp_path: Path) -> None:
    command = [churn, "3", "4", "1000", "4000", "wait"]
    with running(command, tmp_path) as process:
        assert process.stdout is not None
        assert "ready\n" in process.stdout
        dump = read_live(live_file_of(process.pid))
    assert dump.state is State.RUNNING
    assert broken(dump) == []
    assert view_of(dump).allocs > 1000


def test_the_command_watches_a_running_process(churn: Path, tmp_path: Path) -> None:
    command = [churn, "3", "4", "1000", "4000", "wait"]
    with running(command, tmp_path) as process:
        assert process.stdout is not None
        assert "ready\n" in process.stdout
        words = ["--live", str(process.pid), "--looks", "2", "--interval", "0.1"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hakprof", "counters", *words],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(f"Process {process.pid}, while it ran") == 2


def test_a_forked_child_counts_on_its_own(churn: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = run([churn, "3", "4", "3000", "40000", "fork"], tmp_path, "out/")
    assert (done.returncode, done.stderr) == (0, "")
    parent, *children = read_dumps(tmp_path / "out")
    assert len(children) == CHILDREN
    assert broken(parent) == []
    for child in children:
        assert child.parent_pid == parent.pid
        assert broken(child) == []
        assert child.inherited
        assert 0 < view_of(child).ops < 200
        assert int(child.base.sum()) > 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        f"hakmem.{dump.pid}.json" for dump in (parent, *children)
    }


def test_children_do_not_take_their_parents_file(churn: Path, tmp_path: Path) -> None:
    run([churn, "3", "1", "300", "4000", "fork"], tmp_path)
    parent = one(tmp_path / "dump.json")
    children = list(tmp_path.glob("dump.*.json"))
    assert len(children) == CHILDREN
    assert {one(child).parent_pid for child in children} == {parent.pid}


def test_exec_keeps_what_the_image_before_it_counted(churn: Path, tmp_path: Path) -> None:
    done = run([churn, "3", "2", "300", "4000", "exec"], tmp_path)
    assert done.returncode == 0, done.stderr
    last = one(tmp_path / "dump.json")
    (before,) = [one(path) for path in tmp_path.glob("*.live")]
    assert before.pid == last.pid
    assert (before.state, last.state) == (State.DIED, State.FINISHED)
    assert view_of(before).allocs > 300
    assert broken(last) == []


def test_a_thread_that_never_ends_does_not_disturb(churn: Path, tmp_path: Path) -> None:
    run([churn, "3", "2", "300", "4000", "leave"], tmp_path)
    dump = one(tmp_path / "dump.json")
    assert dump.others_running == 1
    assert broken(dump) == []


def test_several_processes_write_to_a_descriptor(churn: Path, tmp_path: Path) -> None:
    with (tmp_path / "out.json").open("w") as file:
        subprocess.run(
            [churn, "3", "1", "300", "4000", "fork"],
            cwd=tmp_path,
            env=environment(f"fd:{file.fileno()}", TMPDIR=str(tmp_path)),
            check=True,
            stdout=subprocess.DEVNULL,
            pass_fds=[file.fileno()],
        )
    dumps = read_dumps(tmp_path / "out.json")
    assert len(dumps) == CHILDREN + 1
    assert [broken(dump) for dump in dumps] == [[]] * len(dumps)
    assert not list(tmp_path.glob("*.live"))


def test_a_signal_writes_a_numbered_document(churn: Path, tmp_path: Path) -> None:
    command = [churn, "3", "2", "300", "4000", "signal"]
    done = run(command, tmp_path, HAKMEM_COUNTERS_SIGNAL="USR1")
    assert done.returncode == 0
    first, second = one(tmp_path / "dump.1.json"), one(tmp_path / "dump.2.json")
    assert (first.state, second.state) == (State.RUNNING, State.RUNNING)
    assert one(tmp_path / "dump.json").state is State.FINISHED


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"target": "missing/dump.json"}, "cannot create the live file of"),
        ({"target": "missing/"}, "cannot create the live file of"),
        ({"target": "fd:x"}, "not a descriptor, fd:N: fd:x"),
        ({"target": "/proc/dump.json"}, "cannot create the live file of /proc/dump.json"),
        ({"target": "x" * 5000}, "File name too long"),
        ({"HAKMEM_COUNTERS_SIGNAL": "HUP"}, "HAKMEM_COUNTERS_SIGNAL is USR1 or USR2, not HUP"),
    ],
)
def test_a_bad_setting_is_said_and_the_program_runs(
    setting: Mapping[str, str], complaint: str, tmp_path: Path
) -> None:
    done = run(["sh", "-c", "echo done"], tmp_path, **setting)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert complaint in done.stderr
    assert done.stderr.startswith("hakmem: counters: ")


def test_little_address_space_is_enough(churn: Path, tmp_path: Path) -> None:
    command = f"ulimit -v 600000; {churn} 3 2 2000 4000 exit"
    done = run(["sh", "-c", command], tmp_path, "")
    assert done.returncode == 0, done.stderr
    run(["sh", "-c", command], tmp_path)
    for path in tmp_path.glob("dump*.json"):
        assert broken(one(path)) == []


def test_the_release_library_says_that_it_does_not_count(churn: Path, tmp_path: Path) -> None:
    done = run([churn, "1", "1", "10", "100", "exit"], tmp_path, LD_PRELOAD=str(library("hakmem")))
    assert done.returncode == 4  # hak_counters_dump did not return 0
    assert not list(tmp_path.iterdir())


def test_stage_cycles_come_with_the_timing_library(churn: Path, tmp_path: Path) -> None:
    command = [churn, "1", "2", "3000", "4000", "exit"]
    timing = str(library("hakmem-timing"))
    run(command, tmp_path, LD_PRELOAD=timing)
    view = view_of(one(tmp_path / "dump.json"))
    assert view.sum("stage_cycle", stage="spare") > 0
    assert broken(one(tmp_path / "dump.json")) == []
    run(command, tmp_path)
    assert view_of(one(tmp_path / "dump.json")).sum("stage_cycle") == 0


def test_every_process_of_a_compiler_run(tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is missing")
    (tmp_path / "out").mkdir()
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(void) { return puts(""); }\n')
    done = run([gcc, "-O2", "a.c"], tmp_path, "out/")
    assert done.returncode == 0, done.stderr
    dumps = read_dumps(tmp_path / "out")
    assert len(dumps) >= 4
    assert [broken(dump) for dump in dumps] == [[]] * len(dumps)


def test_the_document_is_json_that_says_what_ran(churn: Path, tmp_path: Path) -> None:
    run([churn, "1", "1", "10", "100", "exit"], tmp_path, HAKMEM_DECAY_MS="77")
    info = json.loads((tmp_path / "dump.json").read_text())["info"]
    assert info["command"] == [str(churn), "1", "1", "10", "100", "exit"]
    assert info["exe"] == str(churn)
    assert info["config"]["HAKMEM_DECAY_MS"] == "77"
    assert len(info["program_build_id"]) == len(info["library_build_id"]) == 40
    assert info["class_bytes"][1:3] == [16, 32]
