import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hakprof import allocators, proof
from hakprof.errors import StoreError
from hakprof.preload import preloadable


def test_a_plain_path_stays() -> None:
    assert preloadable(Path("/usr/lib/libc.so.6")) == "/usr/lib/libc.so.6"


@pytest.mark.parametrize("folder", ["with blank", "with:colon", "with$LIB", "a,b;c'\"`d`"])
def test_an_allocator_that_the_loader_could_not_name_serves(
    folder: str, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    bump = compile_c("libbump.so", "-shared", "-fPIC", "bump.c")
    library = tmp_path / folder / "lib bump.so"
    library.parent.mkdir()
    library.write_bytes(bump.read_bytes())
    allocator = allocators.find_allocator(str(library))
    seen, _ = proof.observe(allocator, ["sh", "-c", "true"], env={}, timeout_s=600)
    assert seen.proven, seen
    assert str(library) in seen.evidence[0].detail


def test_no_place_for_a_link_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match="No such file"):
        preloadable(Path("/first place/lib.so"))
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with pytest.raises(StoreError, match="TMPDIR"):
        preloadable(Path("/second place/lib.so"))
