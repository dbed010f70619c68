"""The command as a user starts it: real benchmarks and programs, short; every way to fail."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof.cli.main import main
from hakprof.errors import InputError
from hakprof.model import Absent, Kind, Verdict
from hakprof.render import json_
from hakprof.report import Report
from hakprof.store import Store

WaitFor = Callable[[Callable[[], bool]], None]
HAKPROF = [sys.executable, "-P", "-m", "hakprof"]
SHORT = ["--runs", "3", "--warmup", "0"]
RANDOM = ["bench_random_mixed", "--iters", "200k", *SHORT]
DOCUMENTATION = Path(__file__).resolve().parent.parent / "docs" / "json.md"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "home"


def hakprof(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*HAKPROF, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def report_of(tmp_path: Path, *words: str | Path) -> Report:
    file = tmp_path / "report.json"
    done = hakprof("stat", *words[:1], "--json", file, *words[1:])
    assert done.returncode == 0, done.stderr
    return json_.parse(file.read_text())


def number(report: Report, name: str) -> float:
    value = report.columns[0].figures[name].value
    assert not isinstance(value, Absent), value
    return value


# --- what is measured ----------------------------------------------------------------------------


def test_a_benchmark_is_measured_counted_proven_and_kept(tmp_path: Path, home: Path) -> None:
    report = report_of(tmp_path, *RANDOM, "--alloc", "glibc")
    column = report.columns[0]
    assert column.runs == 3
    assert number(report, "throughput") == pytest.approx(1e9 / number(report, "ns_per_op"), rel=0.5)
    assert 0 < number(report, "max_rss_bytes") < 1 << 30
    assert column.proof is not None
    assert column.proof.verdict is Verdict.PROVEN
    assert report.harness is not None
    assert report.harness.arm.harness_only
    stored = Store(home)
    run = stored.runs()[0]
    assert (run.id, run.outcome) == (report.run, "done")
    kept = [s for s in stored.samples(run.id) if s.backend == "timing"]
    assert len(kept) == 6


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="qemu-user is missing")
def test_instructions_are_exact_and_net_of_the_harness(tmp_path: Path) -> None:
    report = report_of(tmp_path, *RANDOM, "--alloc", "glibc", "--backend", "qemu")
    found = report.columns[0].figures["instructions_per_op"]
    net = report.columns[0].net["instructions_per_op"]
    assert found.kind is Kind.EXACT
    assert isinstance(found.value, float)
    assert isinstance(net.value, float)
    assert 85 < found.value < 105  # glibc 2.31 to 2.41
    assert 15 < found.value - net.value < 35
    assert found.error < 0.01


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is missing")
def test_models_are_simulated_on_request_and_called_so(tmp_path: Path) -> None:
    options = ["--alloc", "glibc", "--backend", "timing", "--simulate", "cache,branch"]
    short = ["bench_random_mixed", "--iters", "5k", *SHORT]
    figures = report_of(tmp_path, *short, *options).columns[0].figures
    for name in ("branch_miss_share", "l1d_misses_per_1000_ops"):
        assert figures[name].kind is Kind.SIMULATED
        assert "callgrind" in figures[name].source
    assert "upper bound" in figures["branch_miss_share"].source
    assert isinstance(figures["cache_misses_per_1000_ops"].value, Absent)


def test_the_calls_of_a_program_are_counted_in_a_run_of_their_own(
    tmp_path: Path, compile_c: Callable[..., Path]
) -> None:
    program = compile_c("allocates", "allocates.c")
    options = ["--runs=3", "--alloc=glibc", "--backend=timing"]
    report = report_of(tmp_path, *options, "--", program)
    assert report.census is not None
    assert report.census.allocs > 0
    assert report.columns[0].ops == report.census.ops
    wall = number(report, "wall_ns")
    assert number(report, "ns_per_op") == pytest.approx(wall / report.census.ops)


def test_ops_of_many_processes_are_not_divided_into_a_count_of_one(tmp_path: Path) -> None:
    words = ["--runs=3", "--alloc=glibc", "--", "sh", "-c", "ls / >/dev/null; ls /"]
    report = report_of(tmp_path, *words)
    assert report.census is not None
    assert report.census.processes > 1
    value = report.columns[0].figures["instructions_per_op"].value
    assert isinstance(value, Absent)
    gap = next(g for g in report.gaps if "instructions_per_op" in g.metrics)
    assert "processes only" in gap.why.why or "hardware" in gap.why.why


def test_a_program_without_a_call_has_no_time_per_op(tmp_path: Path) -> None:
    program = tmp_path / "idle"
    source = "int main(void) { return 0; }"
    command = ["cc", "-x", "c", "-", "-o", str(program)]
    subprocess.run(command, input=source, text=True, check=True)
    report = report_of(tmp_path, "--runs=3", "--alloc=glibc", "--", program)
    for name in ("throughput", "ns_per_op", "instructions_per_op"):
        value = report.columns[0].figures[name].value
        assert isinstance(value, Absent), name
        assert "no ops" in value.why


def test_several_allocators_stand_beside_each_other(compile_c: Callable[..., Path]) -> None:
    bump = compile_c("libbump.so", "-shared", "-fPIC", "bump.c")
    done = hakprof("stat", *RANDOM, "--alloc", "glibc", "--alloc", bump, "--backend", "timing")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[3].split() == ["glibc", "libbump.so", "harness", "alone", "got", "by"]
    assert "glibc, libbump.so served the calls of their own columns" in done.stdout


def test_piped_output_is_plain_and_fits_100_columns() -> None:
    done = hakprof("stat", *RANDOM, "--alloc", "glibc", "--backend", "timing")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    native = re.compile(r"\S*/_native/\S*")
    assert max(len(native.sub("", line)) for line in done.stdout.splitlines()) <= 100


def test_any_program_is_measured_whole(tmp_path: Path) -> None:
    report = report_of(tmp_path, "--runs=3", "--alloc=glibc", "--backend=timing", "--", "ls", "/")
    assert report.target.name == "ls"
    assert number(report, "wall_ns") > 0
    assert report.harness is None
    assert report.columns[0].proven


def test_environment_and_pinning_reach_the_program() -> None:
    script = "import os; assert os.environ['A'] == 'b=c'; assert len(os.sched_getaffinity(0)) == 1"
    cpu = str(min(os.sched_getaffinity(0)))
    options = ["--alloc=glibc", "--runs=1", "--backend=timing", "--env", "A=b=c", "--pin", cpu]
    done = hakprof("stat", *options, "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


def test_words_with_shell_characters_are_left_alone(tmp_path: Path) -> None:
    odd = tmp_path / "$(touch pwned); 'x' & *"
    odd.write_text("#!/bin/sh\n[ \"$1\" = '`touch pwned2`' ]\n")
    odd.chmod(0o755)
    options = ["--alloc=glibc", "--runs=1", "--backend=timing"]
    done = hakprof("stat", *options, "--", odd, "`touch pwned2`")
    assert done.returncode in {0, 4}, done.stderr
    assert not list(tmp_path.glob("pwned*"))


def test_pyperf_compares_two_files(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        options = ["--alloc=glibc", "--runs=3", "--backend=timing", "--pyperf", file]
        assert hakprof("stat", *options, "--", "true").returncode == 0
    command = [sys.executable, "-m", "pyperf", "compare_to", "--table", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "true" in done.stdout or "not significant" in done.stdout


# --- the document --------------------------------------------------------------------------------


def paths(value: object, where: str = "") -> set[str]:
    """Every place of a document, lists and the names of metrics left out."""
    if isinstance(value, list):
        return {path for item in value for path in paths(item, f"{where}[]")}
    if not isinstance(value, dict):
        return {where}
    found = {where} if where else set()
    for key, item in value.items():
        step = "METRIC" if re.search(r"\.(figures|net|values)$", where) else key
        found |= paths(item, f"{where}.{step}" if where else step)
    return found


def documented() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", DOCUMENTATION.read_text(), re.MULTILINE))


def test_every_field_of_the_document_is_described(tmp_path: Path) -> None:
    report_of(tmp_path, *RANDOM, "--alloc", "glibc")
    data = json.loads((tmp_path / "report.json").read_text())
    data["machine"] = {"cpu_model": ""}  # what a machine says is described in one line
    columns = {re.sub(r"^harness\b", "columns[]", path) for path in paths(data)}
    leaves = {re.sub(r"\[\]$", "", path) for path in columns}
    assert not {path for path in leaves - documented() if not path.startswith("machine.")}


def test_the_document_comes_back_equal(tmp_path: Path) -> None:
    report = report_of(tmp_path, *RANDOM, "--alloc", "glibc", "--backend", "timing")
    assert json_.parse(json_.render(report)) == report


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "hakprof.stat/99"}', '{"schema": "hakprof.stat/1"}']
)
def test_another_document_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        json_.parse(text)


# --- bad input: one clear line, a documented exit code --------------------------------------------

SEGV = "kill -SEGV $$"
BAD = [
    (2, "did you mean 'bench_random_mixed'", ["bench_random_mixd"]),
    (2, "has no preset 'lfo'", ["bench_tiny:lfo"]),
    (2, "did you mean 'glibc'", ["bench_tiny", "--alloc", "glib"]),
    (2, "nothing to measure", []),
    (2, "nothing to measure", ["--"]),
    (2, "--threads and --iters are for benchmarks", ["--threads", "2", "--", "true"]),
    (2, "is no count", ["bench_tiny", "--iters", "some"]),
    (2, "is no duration", ["bench_tiny", "--timeout", "soon"]),
    (2, "too short a time", ["bench_tiny", "--timeout", "0"]),
    (2, "too long a time", ["bench_tiny", "--timeout", "9999h"]),
    (2, "--alloc ',,' names nothing", ["bench_tiny", "--alloc", ",,"]),
    (2, "--alloc '' names nothing", ["bench_tiny", "--alloc", "glibc", "--alloc", ""]),
    (2, "sets nothing", ["bench_tiny", "--env", "A"]),
    (2, "CPU 9999 is not there", ["bench_tiny", "--pin", "9999"]),
    (2, "is no list of CPUs", ["bench_tiny", "--pin", "a"]),
    (2, "No such option", ["bench_tiny", "--alocate", "glibc"]),
    (2, "'--runs'", ["bench_tiny", "--runs", "0"]),
    (2, "'--runs'", ["bench_tiny", "--runs", "99999999999999999999"]),
    (2, "'--warmup'", ["bench_tiny", "--warmup", "99999999999999999999"]),
    (3, "is not a number from 1 to", ["bench_tiny", "--runs=1", "--iters", "99999999999999999999"]),
    (2, "did you mean 'qemu'", ["bench_tiny", "--backend", "qmu"]),
    (2, "'bench_tiny; rm'", ["bench_tiny; rm"]),
    (2, "no model 'all'", ["bench_tiny", "--simulate", "all"]),
    (3, "no such program", ["--", "/nonexistent/program"]),
    (3, "SIGSEGV", ["--runs=2", "--", "sh", "-c", SEGV]),
    (3, "exit code 3", ["--runs=2", "--", "sh", "-c", "exit 3"]),
    (3, "stopped after 0.2 s", ["--runs=2", "--timeout=200ms", "--", "sleep", "10000"]),
    (3, "is not a number", ["bench_random_mixed", "--runs=2", "--", "--ws", "many"]),
    (7, "cannot write /: Is a directory", ["bench_tiny", "--json", "/"]),
    (7, "cannot write /no/x: No such file", ["bench_tiny", "--pyperf", "/no/x"]),
    (7, "cannot write /dev/null/x: Not a dir", ["bench_tiny", "--json", "/dev/null/x"]),
    (5, "measures only hakprof's own benchmarks", ["--backend=stepper", "--", "true"]),
]


@pytest.mark.parametrize(("code", "words", "arguments"), BAD, ids=[" ".join(b[2]) for b in BAD])
def test_bad_input_is_one_line_and_a_documented_code(
    code: int, words: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    alloc = [] if "--alloc" in arguments else ["--alloc", "glibc"]
    ended = main(["stat", *alloc, *arguments])
    shown, said = capsys.readouterr()
    assert ended == code, said
    assert words in said
    assert said.count("\n") == 1
    assert said.startswith("hakprof: ")
    assert shown == ""


def test_bad_input_ends_the_process_with_that_code() -> None:
    done = hakprof("stat", "bench_random_mixd")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_library_of_another_architecture_is_refused(tmp_path: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("aarch64-linux-gnu-gcc is missing")
    library = tmp_path / "libother.so"
    source = "void *malloc(unsigned long n) { return (void *)n; }"
    command = [compiler, "-x", "c", "-", "-shared", "-fno-builtin", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    done = hakprof("stat", "bench_tiny", "--alloc", library)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "aarch64" in done.stderr


def test_a_store_that_cannot_be_written_costs_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "file" / "home"))
    done = hakprof("stat", "--alloc=glibc", "--runs=1", "--backend=timing", "--", "true")
    assert done.returncode == 7
    assert "wall time" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "HAKPROF_HOME" in done.stderr


def test_a_disk_that_fills_up_costs_no_figures() -> None:
    words = ["stat", "--alloc=glibc", "--runs=3", "--backend=timing", "--", "true"]
    command = ["prlimit", "--fsize=30000", *HAKPROF, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "wall time per run" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "free space" in done.stderr


def test_a_terminal_sees_progress_and_the_same_text(tmp_path: Path) -> None:
    master, slave = os.openpty()
    words = ["stat", "--alloc=glibc", "--runs=3", "--backend=timing", "--", "true"]
    with (tmp_path / "out").open("w+") as out:
        child = subprocess.Popen([*HAKPROF, *words], stdout=out, stderr=slave)
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the child is
            while data := os.read(master, 4096):
                seen += data
        os.close(master)
        assert child.wait() == 0
        out.seek(0)
        shown = out.read()
    assert b"timing" in seen
    assert "wall time per run" in shown
    assert "\x1b" not in shown


def test_a_daemon_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    never = tmp_path / "never"
    os.mkfifo(never)
    options = ["--alloc=glibc", "--runs=2", "--backend=timing"]
    try:
        done = hakprof("stat", *options, "--", "sh", "-c", f"read x <'{never}' & echo started")
    finally:
        os.close(os.open(never, os.O_RDWR))  # now they end
    assert done.returncode in {0, 4}, done.stderr


def test_output_files_that_cannot_be_written_cost_no_figures() -> None:
    file = "/dev/full"
    options = ["--alloc=glibc", "--runs=1", "--backend=timing", "--json", file]
    done = hakprof("stat", *options, "--", "true")
    assert done.returncode == 7
    assert "wall time" in done.stdout
    assert "cannot write /dev/full: No space left" in done.stderr


def test_a_full_standard_output_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        command = [*HAKPROF, "stat", "--alloc=glibc", "--runs=1", "--backend=timing", "--", "true"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 7
    assert done.stderr == "hakprof: standard output: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_shows_and_keeps_what_was_measured(
    home: Path, wait_for: WaitFor, interruptible: tuple[str, ...], number: signal.Signals
) -> None:
    stat = [*HAKPROF, "stat", "--alloc=glibc", "--runs=10000", "--", "sleep", "0.05"]
    command = [*interruptible, *stat]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: samples(home) >= 4)
    child.send_signal(number)
    shown, said = child.communicate(timeout=600)
    assert child.returncode == 130
    assert "wall time per run" in shown
    assert said.startswith("hakprof: interrupted")
    assert Store(home).runs()[0].outcome.startswith("interrupted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_its_starter_ignores_does_not_interrupt(
    home: Path, wait_for: WaitFor, number: signal.Signals
) -> None:
    """As in a script's background job, and under nohup."""
    ignoring = ["env", f"--ignore-signal={number.name.removeprefix('SIG')}"]
    options = ["--alloc=glibc", "--runs=10", "--warmup=0", "--backend=timing"]
    command = [*ignoring, *HAKPROF, "stat", *options, "--", "sleep", "0.05"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: samples(home) >= 2)
    child.send_signal(number)
    _, said = child.communicate(timeout=600)
    assert child.returncode == 0, said
    assert samples(home) == 10
    assert Store(home).runs()[0].outcome == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_program_outlives_what_measures_it(
    tmp_path: Path, wait_for: WaitFor, interruptible: tuple[str, ...], number: signal.Signals
) -> None:
    mark = tmp_path / "pid"
    program = ["sh", "-c", f"echo $$ >{mark}; exec sleep 1000"]
    command = [*interruptible, *HAKPROF, "stat", "--alloc=glibc", "--", *program]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: mark.exists() and mark.read_text() != "")
    child.send_signal(number)
    shown, said = child.communicate(timeout=600)
    assert (child.returncode, shown) == (130, "")
    assert said == "hakprof: interrupted; nothing was measured\n"
    program_s = Path(f"/proc/{mark.read_text().strip()}/exe")  # not there once it is killed
    wait_for(lambda: not program_s.exists())


def samples(home: Path) -> int:
    """How many samples the store holds by now."""
    if not (home / "store.sqlite3").exists():
        return 0
    store = Store(home)
    return sum(len(store.samples(run.id)) for run in store.runs())


def test_a_refuted_allocator_is_shown_and_fails(compile_c: Callable[..., Path]) -> None:
    bump = compile_c("libbump.so", "-shared", "-fPIC", "bump.c")
    static = compile_c("allocates-static", "allocates.c", "-static")
    done = hakprof("stat", "--alloc", bump, "--runs=2", "--backend=timing", "--", static)
    assert done.returncode == 4, done.stderr
    assert "WRONG ALLOCATOR" in done.stdout
    assert "wall time per run" in done.stdout
    assert done.stderr.count("\n") == 1
