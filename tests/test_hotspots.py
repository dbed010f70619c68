"""Recordings, end to end on real programs, and their files broken in every way."""

import contextlib
import dataclasses
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakprof.backends.perf_event import attempt
from hakprof.backends.perf_record import PerfRecord
from hakprof.backends.sampler import Sampler
from hakprof.cli import main as cli
from hakprof.errors import InputError, UsageError
from hakprof.hotspots import annotate, code, decoded, paths, recording, stages, tables
from hakprof.hotspots.callgrind_costs import parse_costs, read_callgrind
from hakprof.hotspots.recording import Recording
from hakprof.hotspots.step_trace import read_trace
from hakprof.model import Kind
from hakprof.render import annotate as annotated
from hakprof.symbols.lines import Place

Compile = Callable[..., Path]

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
needs_perf = pytest.mark.skipif(not PerfRecord().probe().usable, reason="perf cannot record here")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _record(tmp_path: Path, *words: str) -> Recording:
    assert cli.main(["record", *words]) == 0
    (run,) = (tmp_path / "home" / "runs").iterdir()
    return recording.load(run)


def _by_function(found: tables.Hotspots, source: int = 0) -> dict[str, float]:
    return {row.name: row.shares[source].fraction for row in found.functions}


@needs_valgrind
def test_exact_sources_agree_and_are_per_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench_random_mixed", "--alloc", "glibc", "--source", "callgrind,stepper"]
    made = _record(tmp_path, *words)
    assert cli.main(["hotspots"]) == 0
    assert "instr/op" in capsys.readouterr().out
    built = code.build(recording.sources(made))
    found = tables.hotspots(made, built)
    callgrind, stepper = (_by_function(found, i) for i in (0, 1))
    for name in ("malloc", "free", "_int_free", "work"):
        assert callgrind[name] == pytest.approx(stepper[name], abs=0.02)
    per_op = [sum(row.shares[i].per_op or 0 for row in found.functions) for i in (0, 1)]
    assert per_op[0] == pytest.approx(per_op[1], rel=0.1)  # 100,000 ops and the first 2,000
    assert not found.findings
    by_stage = {row.name for row in found.stages}
    assert {"glibc: entry points (malloc, free, calloc)", stages.PROGRAM} <= by_stage


def test_calls_that_are_handed_on_are_a_finding(tmp_path: Path, compile_c: Compile) -> None:
    library = compile_c("libforward.so", "forward.c", "-shared", "-fPIC")
    words = ["bench_random_mixed", "--alloc", str(library), "--source", "stepper"]
    made = _record(tmp_path, *words)
    found = tables.hotspots(made, code.build(recording.sources(made)))
    assert any("glibc's" in finding and "handed them on" in finding for finding in found.findings)
    assert made.proof


@pytest.mark.parametrize("source", ["perf", "sampler"])
def test_samplers_see_where_time_goes(tmp_path: Path, source: str) -> None:
    found = {"perf": PerfRecord(), "sampler": Sampler()}[source].probe()
    if not found.usable:
        pytest.skip(found.why)
    made = _record(
        tmp_path,
        *("bench_random_mixed", "--alloc", "glibc", "--source", source, "--profiles", "3"),
        *("--iters", "8M", "--frequency", "2000"),
    )
    (only,) = recording.sources(made)
    assert only.kind is Kind.SAMPLED
    if source == "sampler" or attempt().hardware:  # else perf counts cycles
        assert [profile.event for profile in only.profiles] == ["cpu-clock"] * 3
        assert only.profiles[0].unit == "ns"
    seen = tables.hotspots(made, code.build([only]))
    assert {"malloc", "free", "work"} <= _by_function(seen).keys()
    assert sum(_by_function(seen).values()) == pytest.approx(1)
    assert all(row.shares[0].error > 0 for row in seen.functions if row.shares[0].fraction < 1)


@needs_perf
def test_shares_by_function_as_perf_report_prints_them(tmp_path: Path) -> None:
    words = ["bench_random_mixed", "--alloc", "glibc", "--source", "perf", "--profiles", "1"]
    made = _record(tmp_path, *words, "--iters", "10M")
    path = made.folder / "perf-1"
    report = ["perf", "report", "-i", path, "--stdio", "-g", "none", "--no-children"]
    shown = subprocess.run(
        [*report, "-s", "dso,sym"], capture_output=True, text=True, check=True
    ).stdout
    found = tables.hotspots(made, code.build(recording.sources(made)))
    ours = {(r.library, r.name): 100 * r.shares[0].fraction for r in found.functions}
    seen = compared = 0.0  # of user space: a busy machine has the kernel switch
    for line in shown.splitlines():
        cells = line.split()
        if not line or line[0] == "#" or cells[2] != "[.]":
            continue
        share = float(cells[0].rstrip("%"))
        seen += share
        name = {"cfree@GLIBC_2.2.5": "free"}.get(cells[3], cells[3])  # of its aliases
        if share > 1 or (cells[1], name) in ours:  # what is seen once may have others
            assert ours[cells[1], name] == pytest.approx(share, abs=0.1)
            compared += share
    assert compared > 0.9 * seen > 0


CALLGRIND = """# callgrind format
positions: instr line
events: Ir

ob=(1) /nowhere/a
fn=(1) first
0x10 1 5
jcnd=1/5 0x20 2
0x10 1
cob=(2) /nowhere/b
cfn=(2) second
calls=5 0x40 0
0x11 1 500
0x12 1 30
jump=20 0x12 1
0x12 1
ob=(2)
fn=(2)
0x40 1 500
totals: 535
"""


def test_callgrind_costs_without_calls_and_repeats() -> None:
    assert parse_costs(CALLGRIND.splitlines(keepends=True)) == {
        ("/nowhere/a", 0x10): 5,
        ("/nowhere/a", 0x12): 10,
        ("/nowhere/b", 0x40): 500,
    }


def test_broken_callgrind_files(tmp_path: Path) -> None:
    path = tmp_path / "callgrind.out"
    for text, said in (
        (CALLGRIND.split("totals", maxsplit=1)[0], "no totals"),
        (CALLGRIND.replace("jump=20", "jump=31"), "more repeats"),
        ("# callgrind format\ntotals: 0\n", "no costs"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_callgrind(path)


@given(st.data())
@settings(max_examples=200)
def test_mutated_callgrind_files(data: st.DataObject) -> None:
    text = list(CALLGRIND)
    for _ in range(data.draw(st.integers(1, 10))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.characters(codec="latin-1"))
    with contextlib.suppress(InputError):
        parse_costs("".join(text).splitlines(keepends=True))


MAPS = b"1000-2000 r-xp 00000000 00:00 0   /nowhere/a\n3000-4000 rw-p 00000000 00:00 0\n"


def _trace(addresses: list[int]) -> bytes:
    head = b"HAKSTEP1" + struct.pack("<Q", len(MAPS))
    return head + MAPS + struct.pack(f"<{len(addresses)}Q", *addresses)


def test_a_trace_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(_trace([0x1010, 0x1004, 0x1010, 0x9000]))
    trace = read_trace(path)
    assert trace.profile.offset[trace.steps].tolist() == [0x10, 0x4, 0x10, 0x9000]
    assert trace.profile.weight.tolist() == [1.0, 2.0, 1.0]


def test_truncated_traces(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    whole = _trace([0x1010, 0x1004])
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size == len(whole) - 8:
            continue  # one step less: a trace as well
        with pytest.raises(InputError):
            read_trace(path)


def test_files_of_no_tool_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some"
    path.write_text("text")
    with pytest.raises(InputError, match="no file of perf record"):
        recording.load(path)
    assert cli.main(["hotspots", "--run", str(path)]) == 6
    assert cli.main(["hotspots", "--run", str(tmp_path / "none")]) == 2
    assert cli.main(["hotspots"]) == 2


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a pipe"):
        recording.load(pipe)


def test_broken_recordings_are_refused(tmp_path: Path) -> None:
    for text in ("", "{}", '{"version": 9, "folder": ".", "pieces": []}', "[1]"):
        (tmp_path / recording.FILE).write_text(text)
        with pytest.raises(InputError):
            recording.load(tmp_path)
    outside = Recording(tmp_path, (recording.Piece("../x", "perf", Kind.SAMPLED, ""),))
    recording.save(outside)
    with pytest.raises(InputError, match="outside"):
        recording.load(tmp_path)


def test_unknown_sources_name_the_known_ones(tmp_path: Path) -> None:
    made = Recording(tmp_path, (recording.Piece("x", "perf", Kind.SAMPLED, ""),))
    with pytest.raises(UsageError, match="it has: perf"):
        recording.sources(made, "stepper")


def test_stage_maps_know_their_functions() -> None:
    by_name = {found.name: found for found in stages.stage_maps()}
    assert by_name.keys() == {"hakmem", "glibc", "mimalloc", "jemalloc", "tcmalloc"}
    hakmem = stages.map_of("libhakmem-counters.so")
    assert hakmem is by_name["hakmem"]
    chain = (
        Place("hk_tls_set_head", "/x/core/src/thread_tls.h", 5),
        Place("hk_cache_pop", "", 9),
    )
    assert hakmem.find("malloc", chain) == "pop"
    assert hakmem.find("hk_slab_refill.part.0", ()) == "refill: choice of source"
    glibc = stages.map_of("libc.so.6")
    assert glibc is not None
    assert glibc.find("_int_free", ()) == "arena: free, coalesce"
    assert glibc.find("printf", ()) == ""


def test_more_profiles_widen_the_error_when_runs_differ(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(_trace([0x1010] * 50 + [0x1004] * 50))
    profile = read_trace(path).profile
    built = code.build([recording.Source("perf", "", (profile,), 0)])
    (one,) = tables.shares(built, 0, lambda w: np.array([w.sum()]))
    assert (one.fraction, one.error, one.per_op) == (1.0, 0.0, None)


@pytest.fixture(scope="module")
def hakmem_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one recording: single steps of bench_random_mixed on hakmem."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAKPROF_HOME", str(home))
        assert cli.main(["record", "bench_random_mixed", "--source", "stepper"]) == 0
    return home


def test_annotate_shows_a_function_that_is_only_inlined(
    hakmem_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(hakmem_home))
    assert cli.main(["annotate", "hk_cache_pop"]) == 0
    shown = capsys.readouterr().out
    assert "hk_cache_pop: 0 functions, inlined into" in shown
    assert "libhakmem.so: malloc, hk_cache_pop < alloc_fast (api.c:" in shown
    assert "cache_list.h:" in shown
    assert "\x1b" not in shown
    made = recording.load(hakmem_home / "runs" / "1")
    found = annotate.annotate(made, code.build(recording.sources(made)), "hk_cache_pop")
    in_malloc = next(copy for copy in found.copies if copy.function == "malloc")
    per_op = sum(cost.shares[0].per_op or 0 for cost in in_malloc.costs)
    assert 2 < per_op < 4  # six instructions in every other operation
    assert found.total[0].per_op == pytest.approx(
        sum(cost.shares[0].per_op or 0 for copy in found.copies for cost in copy.costs)
    )


def test_annotate_shows_all_functions_of_a_name_and_the_nearest_to_a_wrong_one(
    hakmem_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(hakmem_home))
    assert cli.main(["annotate", "malloc", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "libhakmem.so: malloc\n" in shown
    assert cli.main(["annotate", "hk_cache_pup"]) == 2
    assert "did you mean 'hk_cache_pop'" in capsys.readouterr().err


def test_colour_marks_what_is_hot(hakmem_home: Path) -> None:
    made = recording.load(hakmem_home / "runs" / "1")
    found = annotate.annotate(made, code.build(recording.sources(made)), "malloc")
    assert "\x1b[33m" in annotated.render(found, everything=False, colour=True)


def test_an_operation_that_runs_code_in_no_file_ends_where_it_does() -> None:
    enter, call, clock, leave, other = range(5)
    operation = (enter, call, clock, clock, leave)
    steps = [other, *operation, other, *operation, other]
    turns = decoded.turns(steps, [0, 1, 0, -1, 0], [row == clock for row in range(5)])
    counts, unfinished = paths._operations(  # noqa: SLF001 - real clocks tick when they like
        steps, enter, turns
    )
    assert (counts, unfinished) == ({operation: 2}, 0)


def test_paths_are_whole_operations(
    hakmem_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(hakmem_home))
    for function in ("malloc", "free"):
        assert cli.main(["paths", function]) == 0
        shown = capsys.readouterr().out
        assert f"{function} in libhakmem.so: " in shown
        assert "path 1: " in shown
        made = recording.load(hakmem_home / "runs" / "1")
        trace = recording.trace_of(made)
        built = code.build([recording.Source("stepper", "", (trace.profile,), 0)])
        (found,) = paths.paths(made, built, trace, function)
        entered = built.rows[0][trace.steps]
        row = next(
            i
            for i in range(built.table.image.size)
            if built.function(i).name == function
            and built.function(i).start == int(built.names.address[i])
        )
        assert found.operations + found.unfinished == int((entered == row).sum())
        fast = found.paths[0]
        assert fast.count / found.operations > 0.9
        assert fast.steps[0].instruction.address == built.function(row).start
        assert fast.steps[-1].instruction.is_return
        assert not any(step.instruction.is_call for step in fast.steps)
        assert 8 < len(fast.steps) < 16
    assert cli.main(["paths", "mallok"]) == 2
    assert "did you mean 'malloc'" in capsys.readouterr().err


def test_paths_need_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "callgrind.out"
    path.write_text(CALLGRIND)
    assert cli.main(["paths", "malloc", "--run", str(path)]) == 2
    assert "no trace of single steps" in capsys.readouterr().err


def test_a_library_that_was_rebuilt_is_refused(
    hakmem_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(hakmem_home, tmp_path / "copy")
    made = recording.load(tmp_path / "copy" / "runs" / "1")
    ids = dict.fromkeys(made.build_ids, "00" * 20)
    recording.save(dataclasses.replace(made, build_ids=ids))
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "copy"))
    assert cli.main(["hotspots"]) == 6


CXX = """
#include <cstdlib>
namespace shop {
inline __attribute__((always_inline)) long weigh(long x) {
    volatile long y = x;
    for (int i = 0; i < 50; i++) y += i;
    return y;
}
struct Basket {
    __attribute__((noipa)) long put(long n) {
        long s = 0;
        for (long i = 0; i < n; i++) s += weigh(i);
        return s;
    }
};
}
int main(int, char **argv) { return shop::Basket().put(atol(argv[1])) == 7; }
"""


@needs_valgrind
def test_cxx_names_are_readable_and_any_form_of_them_is_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, program, stacks = tmp_path / "shop.cc", tmp_path / "shop", tmp_path / "stacks"
    source.write_text(CXX)
    if shutil.which("g++") is None or shutil.which("c++filt") is None:
        pytest.skip("no g++ or no c++filt")
    subprocess.run(["g++", "-O2", "-g", "-o", str(program), str(source)], check=True)
    made = _record(tmp_path, "--source", "callgrind", "--", str(program), "2000")
    assert cli.main(["hotspots"]) == 0
    assert "shop::Basket::put(long)" in capsys.readouterr().out
    assert cli.main(["flame", "--source", "callgrind", "--collapsed", str(stacks)]) == 0
    assert "shop::Basket::put(long);shop::weigh(long)" in stacks.read_text()
    built = code.build(recording.sources(made))
    for symbol in ("put", "shop::Basket::put", "_ZN4shop6Basket3putEl"):
        found = annotate.annotate(made, built, symbol)
        assert [copy.function for copy in found.copies] == ["shop::Basket::put(long)"]
    (inlined,) = annotate.annotate(made, built, "weigh").copies
    assert [place.function for place in inlined.callers] == ["shop::Basket::put(long)"]


@needs_perf
def test_copied_stacks_are_said_not_to_be_unwound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], compile_c: Compile
) -> None:
    source = tmp_path / "busy.c"
    source.write_text(
        "__attribute__((noinline)) long burn(long n) {\n"
        "    volatile long y = 0;\n"
        "    for (long i = 0; i < n; i++) y += i;\n"
        "    return y;\n"
        "}\n"
        "int main(void) { return burn(100000000) == 7; }\n"
    )
    program = compile_c("busy", str(source))
    data = tmp_path / "perf.data"
    options = ["-q", "--call-graph", "dwarf", "-e", "cpu-clock", "-F", "500", "-o", str(data)]
    command = ["perf", "record", *options, "--", str(program)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("perf cannot record here")
    for words in (["hotspots", "--run", str(data)], ["flame", str(data)]):
        assert cli.main(words) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "not unwound" in shown
        assert "--call-graph fp" in shown
    assert "burn" in shown


@needs_perf
def test_a_recording_of_another_machine_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "perf.data"
    command = [
        "perf",
        "record",
        "-q",
        "-e",
        "page-faults",
        "-c",
        "1",
        "-o",
        str(data),
        "--",
        "true",
    ]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("perf cannot record here")
    assert cli.main(["hotspots", "--run", str(data)]) == 0
    assert "recorded on" not in capsys.readouterr().out
    host = platform.node().encode()
    data.write_bytes(data.read_bytes().replace(host + b"\0", b"z" * len(host) + b"\0"))
    assert cli.main(["hotspots", "--run", str(data)]) == 0
    assert f"recorded on {'z' * len(host)} " in capsys.readouterr().out


@needs_valgrind
def test_a_source_changed_after_the_build_is_said(tmp_path: Path, compile_c: Compile) -> None:
    source = tmp_path / "later.c"
    source.write_text(
        "__attribute__((noinline)) int burn(int n) { volatile int y = n; return y; }\n"
        "int main(void) { return burn(1) == 7; }\n"
    )
    program = compile_c("later", str(source))
    made = _record(tmp_path, "--source", "callgrind", "--", str(program))
    built = code.build(recording.sources(made))
    assert not any("was changed" in note for note in annotate.annotate(made, built, "burn").notes)
    os.utime(source, (program.stat().st_mtime + 5,) * 2)
    assert any("was changed" in note for note in annotate.annotate(made, built, "burn").notes)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("valgrind") is None or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no valgrind, or no file systems of our own")
    full = tmp_path / "full"
    full.mkdir()
    fill = f"mount -t tmpfs -o size=300k none {full} && head -c 292k /dev/zero"
    record = "record bench_tiny --alloc glibc --source callgrind --iters 20k"
    done = subprocess.run(
        [*own, "sh", "-c", f"{fill} > {full}/fill; {sys.executable} -P -m hakprof {record}"],
        env={**os.environ, "TMPDIR": str(full), "HAKPROF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith(f"hakprof: {full}: no space left for callgrind's files")
    assert "TMPDIR" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 7
