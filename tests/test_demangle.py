"""Names of C++ and Rust, by whichever demangler is installed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakprof.symbols import demangle
from hakprof.symbols.demangle import means, readable

HERE = [name for name in demangle.PROGRAMS if shutil.which(name)]


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(demangle, "_known", {})
    demangle._demangler.cache_clear()  # noqa: SLF001
    yield
    demangle._demangler.cache_clear()  # noqa: SLF001


@pytest.mark.parametrize("program", HERE)
def test_mangled_names_become_readable_and_others_stay(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demangle, "PROGRAMS", (program,))
    names = [
        "malloc",
        "_ZN2ns3fooEi",
        "_Z",
        "",
        "_ZN4shop6BasketIiE3putEii",
        "_Z1fv@plt",
        "_Zx\n_ZN2ns3fooEi",
    ]
    shown = [
        "malloc",
        "ns::foo(int)",
        "_Z",
        "",
        "shop::Basket<int>::put(int, int)",
        "f()@plt",
        names[-1],
    ]
    assert readable(names) == shown
    assert readable(names) == shown


def test_more_names_than_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    if not HERE:
        pytest.skip("no demangler is installed")
    monkeypatch.setattr(demangle, "BATCH", 7)
    names = [f"_Z{len(str(i)) + 1}f{i}v" for i in range(50)]
    assert readable(names) == [f"f{i}()" for i in range(50)]


def test_without_a_demangler_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demangle, "PROGRAMS", ())
    assert readable(["_ZN2ns3fooEi"]) == ["_ZN2ns3fooEi"]


def test_a_demangler_that_breaks_leaves_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "c++filt"
    broken.write_text("#!/bin/sh\ncat >/dev/null\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(demangle, "PROGRAMS", (str(broken),))
    assert readable(["_ZN2ns3fooEi", "_Z1fv"]) == ["_ZN2ns3fooEi", "_Z1fv"]


def test_a_user_may_leave_out_what_surrounds_a_name() -> None:
    name = "int shop::Basket<int>::put(int, int)"
    for asked in (name, "shop::Basket<int>::put", "put"):
        assert means(asked, name)
    for asked in ("", "ut", "Basket", "get"):
        assert not means(asked, name)
    assert means("malloc", "malloc")
    if HERE:
        assert means("_ZN2ns3fooEi", "ns::foo(int)")
        assert not means("_ZN2ns3barEi", "ns::foo(int)")
