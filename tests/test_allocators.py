import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hakprof import allocators, elf, native
from hakprof.errors import UsageError
from hakprof.model import Allocator
from hakprof.plan import arm_names

Compile = Callable[..., Path]


def installed(name: str) -> Allocator:
    try:
        return allocators.find_allocator(name)
    except UsageError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def bump(compile_c: Compile) -> Path:
    return compile_c("libbump.so", "-shared", "-fPIC", "bump.c")


def test_glibc_needs_no_library() -> None:
    found = allocators.find_allocator("glibc")
    assert found.library is None
    assert found.version == os.confstr("CS_GNU_LIBC_VERSION").split()[1]


def test_hakmem_and_its_variants_lie_in_the_package() -> None:
    found = allocators.find_allocator("hakmem")
    assert found.library == native.library("hakmem")
    assert found.build_id == elf.read(native.library("hakmem")).build_id
    for library in sorted((native.NATIVE / "lib").glob("libhakmem-*.so")):
        name = "hakmem:" + library.stem.removeprefix("libhakmem-")
        assert allocators.find_allocator(name).library == library
        assert allocators.name_of(library) == name


@pytest.mark.parametrize("name", ["mimalloc", "jemalloc", "tcmalloc"])
def test_peers_of_this_system_tell_their_version(name: str) -> None:
    found = installed(name)
    assert found.library is not None
    assert found.library.is_absolute()
    assert found.version.count(".") in {1, 2}
    assert allocators.name_of(found.library) == name
    assert found.build_id == elf.read(found.library).build_id


def test_every_peer_is_listed_with_how_to_get_it() -> None:
    known = {row.name: row for row in allocators.known_allocators()}
    assert set(allocators.peers()) <= set(known)
    assert all(row.install and row.summary for row in known.values())
    assert known["glibc"].allocator is not None


def test_rows_have_no_key_that_nobody_reads() -> None:
    fields = set(allocators.Peer.__dataclass_fields__) - {"name"}
    for path in allocators.PEERS.glob("*.toml"):
        keys = {line.partition(" = ")[0] for line in path.read_text().splitlines() if line}
        assert keys <= fields, path


def test_any_library_by_its_path(bump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bump.parent)
    for path in (str(bump), "./libbump.so", "libbump.so"):
        found = allocators.find_allocator(path)
        assert found == Allocator("libbump.so", bump, build_id=elf.read(bump).build_id)


def test_library_by_its_path_under_a_title_of_its_own(bump: Path) -> None:
    plain = allocators.find_allocator(str(bump))
    one, two = (allocators.find_allocator(f"{title}={bump}") for title in ("one", "two"))
    assert one == replace(plain, title="one")
    assert arm_names((one, plain, two, one)) == ["one", "libbump.so", "two", "one #2"]


def test_search_path_of_the_loader_comes_first(
    compile_c: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump = compile_c("libbump.so", "-shared", "-fPIC", "bump.c")
    foreign = compile_c("aarch64.so", "-shared", "-fPIC", "bump.c", cc="aarch64-linux-gnu-gcc")
    (tmp_path / "librpmalloc.so.9").symlink_to(bump)
    (tmp_path / "librpmalloc.so.10").symlink_to(bump)
    (tmp_path / "librpmallocwrap.so").symlink_to(foreign)
    (tmp_path / "librpmalloc.so.11").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert allocators.find_allocator("rpmalloc").library == bump


def test_configuration_of_the_loader_is_followed(tmp_path: Path) -> None:
    main, more = tmp_path / "ld.so.conf", tmp_path / "more.conf"
    main.write_text(f"# comment\ninclude *.conf\ninclude {more}\n/a\t# x\nhwcap ignored\n")
    more.write_text("/b\ninclude ld.so.conf\n")
    assert set(allocators._configured(main)) == {"/a", "/b"}  # noqa: SLF001 - its only parser


def test_parts_of_a_variant_stand_in_any_order() -> None:
    found = allocators.find_allocator("hakmem:stats+header")
    assert found.name == "hakmem:header+stats"
    assert found.library is not None
    assert found.library.name == "libhakmem-header+stats.so"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mimaloc", "did you mean 'mimalloc'?"),
        ("jemaloc", "did you mean 'jemalloc'?"),
        ("zzz", "any library by its path"),
        ("", "any library by its path"),
        ("hakmem:nosuch", "has no variant 'nosuch'"),
        ("mimalloc:secure", "has no variant 'secure'"),
        ("hakmem:heder", "did you mean 'hakmem:header'?"),
        ("hakmem:header+nosuch", "has no variant 'nosuch'"),
        ("hakmem:header+", "has no variant ''"),
        ("hakmem:header+header", "names a variant twice"),
        ("hakmem:counters+header", "no library of hakmem is counters and header at once"),
        ("./nosuch.so", "No such file"),
        ("mine=./nosuch.so", "nosuch.so cannot be used as an allocator"),
        ("mine=mimalloc", "mimalloc cannot be used as an allocator"),
        ("=", "any library by its path"),
        ("/", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/etc/passwd", "not an ELF file"),
        (sys.executable, "a program, not a shared library"),
    ],
)
def test_what_cannot_be_an_allocator_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        allocators.find_allocator(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_library_without_malloc(compile_c: Compile) -> None:
    plugin = compile_c("plugin.so", "-shared", "-fPIC", "plugin.c")
    with pytest.raises(UsageError, match="exports no malloc"):
        allocators.find_allocator(str(plugin))


def test_library_of_another_architecture(compile_c: Compile) -> None:
    library = compile_c("aarch64.so", "-shared", "-fPIC", "bump.c", cc="aarch64-linux-gnu-gcc")
    with pytest.raises(UsageError, match="it is for aarch64, this machine is"):
        allocators.find_allocator(str(library))


@pytest.mark.parametrize(("number", "shown"), [(209, "2.0.9"), (227, "2.2.7"), (30403, "3.4.3")])
def test_version_numbers(number: int, shown: str) -> None:
    assert allocators._dotted(number) == shown  # noqa: SLF001 - newer libraries are not here


def test_finding_glibc_does_not_load_the_elf_parser() -> None:
    code = "import sys; from hakprof import allocators; allocators.find_allocator('glibc'); "
    code += "print('elftools' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
