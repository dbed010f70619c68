"""Each way to measure the wrong allocator, with a real program that does it."""

import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hakprof import allocators, elf, process, proof
from hakprof.errors import UsageError
from hakprof.model import Allocator, Exit, ExitKind, Proof, Verdict

Compile = Callable[..., Path]
Observed = tuple[Proof, process.Outcome]
ENDED = Exit(ExitKind.CODE, 0)
GLIBC = Allocator("glibc", None)
NOBODY = 65534
TIMEOUT_S = 600  # 700 processes, each traced, beside other work


def observe(allocator: Allocator, *argv: str | Path, env: Mapping[str, str] | None = None) -> Proof:
    words = [str(word) for word in argv]
    return proof.observe(allocator, words, env=env or {}, timeout_s=TIMEOUT_S)[0]


def details(found: Proof, check: str) -> str:
    return " | ".join(item.detail for item in found.evidence if item.check == check)


def library(compile_c: Compile, name: str, *sources: str) -> Allocator:
    return allocators.find_allocator(str(compile_c(name, "-shared", "-fPIC", *sources)))


@pytest.fixture
def bump(compile_c: Compile) -> Allocator:
    return library(compile_c, "libbump.so", "bump.c")


@pytest.fixture
def program(compile_c: Compile) -> Path:
    return compile_c("allocates", "allocates.c")


def installed(name: str) -> Allocator:
    try:
        return allocators.find_allocator(name)
    except UsageError as missing:
        pytest.skip(str(missing))


# --- the right allocator is proven ---------------------------------------------------------------


def test_preloaded_allocator_is_proven(bump: Allocator, program: Path) -> None:
    found = observe(bump, program)
    assert found.verdict is Verdict.PROVEN
    assert found.served_by == "libbump.so"
    assert [item.check for item in found.evidence] == [
        "bindings",
        "build id",
        "glibc statistics",
        "elf imports",
        "glibc at exit",
    ]
    assert bump.build_id[:12] in details(found, "build id")


def test_glibc_is_proven(program: Path) -> None:
    found = observe(GLIBC, program)
    assert found.verdict is Verdict.PROVEN
    assert found.served_by == "glibc"
    assert "as they should" in details(found, "glibc statistics")


@pytest.mark.parametrize("name", ["hakmem", "mimalloc", "jemalloc", "tcmalloc"])
@pytest.mark.parametrize("command", ["perl -e 1", "git --version", "sqlite3 :memory: .help"])
def test_peers_are_proven_under_real_programs(name: str, command: str) -> None:
    argv = command.split()
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is missing")
    found = observe(installed(name), *argv)
    assert found.verdict is Verdict.PROVEN, found.evidence
    assert found.served_by == name


def test_own_calls_counted_by_the_allocator(program: Path) -> None:
    found = observe(installed("hakmem"), program)
    assert "counted 2000 allocations, 2000 frees" in details(found, "counted calls")


def test_program_of_fixed_address_is_not_blamed_for_its_jump(
    compile_c: Compile, bump: Allocator
) -> None:
    flags = ("-no-pie", "-fno-pie")
    found = observe(bump, compile_c("takes_address", "takes_address.c", *flags))
    assert found.verdict is Verdict.PROVEN, found.evidence


def test_children_with_the_preload_are_proven(bump: Allocator, program: Path) -> None:
    found = observe(bump, "/bin/sh", "-c", f"{program}; {program}; true")
    assert found.verdict is Verdict.PROVEN, found.evidence
    assert details(found, "process tree") == "2 program images more, the same"


def test_script_is_judged_by_its_interpreter(
    bump: Allocator, program: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    assert observe(bump, script).verdict is Verdict.PROVEN


# --- the wrong one is refuted --------------------------------------------------------------------


def test_static_program(compile_c: Compile, bump: Allocator) -> None:
    found = observe(bump, compile_c("static", "allocates.c", "-static"))
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "the program itself"
    assert "is static" in details(found, "audit")


def test_own_malloc_exported(compile_c: Compile, bump: Allocator) -> None:
    found = observe(bump, compile_c("own", "allocates.c", "bump.c"))
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "the program itself"
    assert "all 10 entry points: the program itself" in details(found, "bindings")


def test_own_malloc_hidden(compile_c: Compile, bump: Allocator) -> None:
    found = observe(bump, compile_c("hidden", "-DHIDDEN", "allocates.c", "bump.c"))
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "the program itself"
    assert "has a malloc of its own" in details(found, "elf imports")


def test_own_malloc_hidden_and_stripped_is_not_proven(compile_c: Compile, bump: Allocator) -> None:
    found = observe(bump, compile_c("stripped", "-DHIDDEN", "allocates.c", "bump.c", "-s"))
    assert found.verdict is Verdict.UNPROVEN
    assert "is stripped" in details(found, "elf imports")


def test_path_that_does_not_exist(bump: Allocator, program: Path) -> None:
    """The loader goes on without it, and exits with 0."""
    found = observe(replace(bump, library=Path("/nonexistent/libbump.so")), program)
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "glibc"
    assert "/nonexistent/libbump.so: cannot open shared object" in details(found, "loader")


def test_library_of_another_architecture(compile_c: Compile, program: Path) -> None:
    """find_allocator refuses it; this is what happens if it gets through."""
    foreign = compile_c("aarch64.so", "-shared", "-fPIC", "bump.c", cc="aarch64-linux-gnu-gcc")
    found = observe(Allocator("aarch64.so", foreign), program)
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "glibc"
    assert f"ignored {foreign}" in details(found, "loader")


def test_partial_override(compile_c: Compile, program: Path) -> None:
    found = observe(library(compile_c, "libhalf.so", "-DHALF", "bump.c"), program)
    assert found.verdict is Verdict.REFUTED
    said = details(found, "bindings")
    assert "malloc, free: /" in said
    assert "libhalf.so; calloc, realloc, " in said
    assert "/libc.so.6" in said


def test_what_nobody_calls_need_not_be_replaced(
    compile_c: Compile, program: Path, tmp_path: Path
) -> None:
    """It is looked for in all libraries, however many lines they fill."""
    almost = library(compile_c, "libalmost.so", "-DNO_PVALLOC", "bump.c")
    found = observe(almost, program)
    assert found.verdict is Verdict.PROVEN
    assert "nobody here imports the others: pvalloc" in details(found, "bindings")
    caller = compile_c("libcaller.so", "-shared", "-fPIC", "-DPVALLOC", "plugin.c")
    plain = compile_c("plugin.so", "-shared", "-fPIC", "plugin.c")
    copies = [tmp_path / f"lib{'x' * 80}{i}.so" for i in range(60)]
    for i, copy in enumerate(copies):
        shutil.copy(caller if i == 55 else plain, copy)
    for number, verdict in ((50, Verdict.PROVEN), (60, Verdict.REFUTED)):
        linked = map(str, copies[:number])
        many = compile_c(f"many{number}", "allocates.c", "-Wl,--no-as-needed", *linked)
        assert observe(almost, many).verdict is verdict


@pytest.mark.parametrize("source", ["forward.c", "forward_next.c"])
def test_wrapper_that_hands_every_call_on(compile_c: Compile, source: str, program: Path) -> None:
    wrapper = library(compile_c, f"lib{source}.so", source)
    found = observe(wrapper, program)
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == f"glibc through lib{source}.so"
    assert "calls are handed on to glibc" in details(found, "glibc statistics")


def test_wrapper_that_hands_on_later_calls(compile_c: Compile, program: Path) -> None:
    late = library(compile_c, "liblate.so", "-DAFTER=100000", "forward.c")
    assert observe(late, program, "1000").verdict is Verdict.PROVEN
    found = observe(late, program, "200000")
    assert found.verdict is Verdict.REFUTED
    assert "later calls" in details(found, "glibc at exit")


def test_program_linked_to_another_allocator(compile_c: Compile, program: Path) -> None:
    """DT_NEEDED: glibc was named, the benchmark was linked with something else."""
    other = compile_c("libother.so", "-shared", "-fPIC", "-Wl,-soname,libother.so", "bump.c")
    linked = compile_c(
        "linked", "allocates.c", f"-L{other.parent}", "-l:libother.so", f"-Wl,-rpath,{other.parent}"
    )
    found = observe(GLIBC, linked)
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == "libother.so"
    assert f"all 10 entry points: {other}" in details(found, "bindings")
    assert "did not grow" in details(found, "glibc statistics")
    assert observe(GLIBC, program).verdict is Verdict.PROVEN


def test_operator_new_of_another_allocator(compile_c: Compile, bump: Allocator) -> None:
    """A C++ program linked to an allocator: whoever is preloaded gets malloc, but not new."""
    other = compile_c("libnew.so", "-DOPERATORS", "-shared", "-fPIC", "bump.c")
    where = (f"-L{other.parent}", f"-Wl,-rpath,{other.parent}")
    linked = compile_c("linked_new", "calls_new.c", *where, "-l:libnew.so")
    found = observe(bump, linked)
    assert found.verdict is Verdict.REFUTED
    assert f"is {other}: what linked_new allocates" in details(found, "operator new")
    standard = compile_c("standard_new", "calls_new.c", "-l:libstdc++.so.6")
    assert observe(bump, standard).verdict is Verdict.PROVEN


def test_loaded_allocator_whose_operators_nobody_calls(bump: Allocator) -> None:
    """redis-server is C, and linked to jemalloc: malloc is the preloaded one's, and that is all."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("redis-server is missing")
    assert observe(bump, redis, "--version").verdict is Verdict.PROVEN


def test_library_that_was_replaced_meanwhile(
    compile_c: Compile, program: Path, tmp_path: Path
) -> None:
    path = tmp_path / "libx.so"
    shutil.copy(compile_c("libbump.so", "-shared", "-fPIC", "bump.c"), path)
    named = allocators.find_allocator(str(path))
    path.unlink()
    shutil.copy(compile_c("libforward.c.so", "-shared", "-fPIC", "forward.c"), path)
    found = observe(named, program)
    assert found.verdict is Verdict.REFUTED
    assert "was replaced" in details(found, "build id")


@pytest.mark.parametrize(("how", "said"), [("deepbind", "RTLD_DEEPBIND"), ("namespace", "dlmopen")])
def test_module_that_goes_past_every_preload(
    compile_c: Compile, bump: Allocator, how: str, said: str
) -> None:
    host = compile_c("loads_plugin", "loads_plugin.c")
    plugin = compile_c("plugin.so", "-shared", "-fPIC", "plugin.c")
    assert observe(bump, host, "plain", plugin).verdict is Verdict.PROVEN
    found = observe(bump, host, how, plugin)
    assert found.verdict is not Verdict.PROVEN
    assert said in details(found, "glibc at exit")


# --- children ------------------------------------------------------------------------------------


def test_child_without_the_preload(bump: Allocator, program: Path) -> None:
    for found in (
        observe(bump, "env", "-i", program),
        observe(bump, program, "10", program),
        observe(bump, "/bin/sh", "-c", f"LD_PRELOAD= {program}"),
    ):
        assert found.verdict is Verdict.REFUTED
        assert "was started without LD_PRELOAD" in details(found, "process tree")
        assert str(program) in details(found, "process tree")


def test_static_child(compile_c: Compile, bump: Allocator) -> None:
    static = compile_c("static", "allocates.c", "-static")
    found = observe(bump, "/bin/sh", "-c", f"{static}; true")
    assert found.verdict is Verdict.REFUTED
    assert f"{static} is static" in details(found, "process tree")


def test_child_with_a_malloc_of_its_own(compile_c: Compile, bump: Allocator) -> None:
    own = compile_c("own", "allocates.c", "bump.c")
    found = observe(bump, "/bin/sh", "-c", f"{own}; true")
    assert found.verdict is Verdict.REFUTED
    assert "the program itself" in details(found, "process tree")


def test_child_of_glibc_that_lost_the_audit_is_unproven(program: Path) -> None:
    found = observe(GLIBC, "env", "-i", program)
    assert found.verdict is Verdict.UNPROVEN
    assert found.served_by == "glibc"


def test_many_children_are_counted(bump: Allocator, program: Path) -> None:
    found = observe(bump, "/bin/sh", "-c", f"for i in 1 2 3 4 5; do env -i {program}; done")
    assert details(found, "process tree") == f"{program} was started without LD_PRELOAD (5 times)"
    commands = "; ".join(f"env -i {name} --version" for name in ("env", "ls", "cp", "mv", "rm"))
    found = observe(bump, "/bin/sh", "-c", commands)
    shown = details(found, "process tree").split("; ")
    assert len(shown) == proof.SHOWN + 1
    assert shown[-1] == "and 2 more"


def test_tree_of_many_processes_is_judged_whole(bump: Allocator) -> None:
    """2 MB of lines: the first of them is the program's own."""
    loop = "i=0; while [ $i -lt 700 ]; do /bin/true; i=$((i+1)); done; true"
    found = observe(bump, "/bin/sh", "-c", loop)
    assert found.verdict is Verdict.PROVEN, found.evidence
    assert details(found, "process tree") == "700 program images more, the same"


# --- setuid, crashes, noise ----------------------------------------------------------------------


def setuid_program() -> str:
    for name in ("su", "mount", "passwd", "sudo"):
        found = shutil.which(name)
        if found and elf.read(Path(found)).is_privileged:
            return found
    pytest.skip("no setuid program here")


def test_setuid_program(bump: Allocator) -> None:
    found = setuid_program()
    lowered: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root gains nothing by setuid: only somebody else does
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is missing")
        lowered = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    result = observe(bump, *lowered, found, "--help")
    assert result.verdict is Verdict.REFUTED
    check = "process tree" if lowered else "audit"
    assert "ignore" in details(result, check)


def test_setuid_program_without_a_trace(bump: Allocator) -> None:
    seen = proof.Observed(allocator=bump, program=Path(setuid_program()), exit=ENDED, audit=b"")
    found = proof.judge(seen)
    assert found.verdict is Verdict.REFUTED
    assert found.served_by == ""
    assert "setuid" in details(found, "audit")


def test_library_that_aborts_when_loaded(compile_c: Compile, program: Path) -> None:
    broken = library(compile_c, "libabort.so", "-DABORT", "bump.c")
    found, outcome = proof.observe(broken, [str(program)], env={}, timeout_s=TIMEOUT_S)
    assert outcome.exit == Exit(ExitKind.SIGNAL, signal.SIGABRT)
    assert found.verdict is Verdict.UNPROVEN
    assert details(found, "exit") == f"{program} was killed by SIGABRT"


def test_program_that_has_to_be_stopped_is_judged_by_its_start(
    bump: Allocator, stopped: Callable[..., Observed]
) -> None:
    def observed(words: Sequence[str], timeout_s: float) -> Observed:
        return proof.observe(bump, words, env={}, timeout_s=timeout_s)

    found, outcome = stopped(observed)
    assert outcome.exit.kind is ExitKind.TIMEOUT
    assert found.verdict is Verdict.PROVEN


def test_preload_ignored_without_a_word(bump: Allocator, program: Path) -> None:
    """No line, no complaint, no reason to be seen: unproven, whatever the exit code."""
    plain = process.run(process.Command(argv=[str(program)]))
    seen = proof.Observed(allocator=bump, program=program, exit=plain.exit, audit=b"")
    found = proof.judge(seen)
    assert found.verdict is Verdict.UNPROVEN
    assert found.served_by == ""
    assert "wrote no line" in details(found, "audit")


def test_lines_that_nobody_can_read_are_counted(bump: Allocator, program: Path) -> None:
    for noise in (b"hello\n", b'{"hakaudit":2}\n', b'{"hakaudit":1}\n', b"[" * 9999, b"\xff\n"):
        seen = proof.Observed(allocator=bump, program=program, exit=ENDED, audit=noise)
        found = proof.judge(seen)
        assert found.verdict is Verdict.UNPROVEN
        assert "unreadable lines: 1" in details(found, "audit")


def test_tracer_that_may_not_trace_leaves_it_unproven(bump: Allocator, program: Path) -> None:
    error = b'{"hakexec":1,"error":"Operation not permitted"}\n'
    seen = proof.Observed(allocator=bump, program=program, exit=ENDED, audit=b"", execs=error)
    assert "Operation not permitted" in details(proof.judge(seen), "process tree")


def test_combined_proof_is_as_good_as_the_worst(bump: Allocator, program: Path) -> None:
    good = observe(bump, program)
    bad = observe(replace(bump, library=Path("/nonexistent/libbump.so")), program)
    both = proof.combine([good, good, bad])
    assert both.verdict is Verdict.REFUTED
    assert both.served_by == "libbump.so, glibc"
    assert set(both.evidence) == {*good.evidence, *bad.evidence}
    assert len(both.evidence) == len(set(both.evidence))
    assert proof.combine([good, good]) == good
