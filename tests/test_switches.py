"""Switches by what they name, and the allocator of each of their combinations."""

from pathlib import Path

import pytest

from hakprof import allocators
from hakprof.allocators import find_allocator
from hakprof.errors import UsageError
from hakprof.model import Allocator
from hakprof.switches import allocators_of, parse_switches


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Allocator:
    """hakmem with the variants a, b and a+b, all of them the same library."""
    folder = tmp_path / "lib"
    folder.mkdir()
    library = find_allocator("hakmem").library
    assert library is not None
    for name in ("libhakmem", "libhakmem-a", "libhakmem-b", "libhakmem-b+a", "libhakmem-lone"):
        (folder / f"{name}.so").write_bytes(library.read_bytes())
    monkeypatch.setattr(allocators, "_native_libraries", lambda: folder)
    return find_allocator("hakmem")


def names(switches: list[str], base: Allocator, env: dict[str, str] | None = None) -> list[str]:
    parsed = parse_switches(switches, base, env or {})
    arms = range(1 << len(parsed))
    return [
        " ".join([a.name, *(f"{k}={v}" for k, v in a.env.items())])
        for a in allocators_of(parsed, arms, base, env or {})
    ]


def test_variants_combine_whatever_their_order(built: Allocator) -> None:
    expected = ["hakmem", "hakmem:a", "hakmem:b", "hakmem:b+a"]
    assert names(["a", "b"], built) == expected
    assert names(["hakmem:a", "hakmem:b"], built) == expected


def test_a_variant_may_be_the_base(built: Allocator) -> None:
    assert names(["b"], find_allocator("hakmem:a")) == ["hakmem:a", "hakmem:b+a"]
    assert built


def test_settings_go_with_libraries(built: Allocator) -> None:
    assert names(["a", "X=1"], built) == ["hakmem", "hakmem:a", "hakmem X=1", "hakmem:a X=1"]
    assert names(["glibc", "X=1"], built) == ["hakmem", "glibc", "hakmem X=1", "glibc X=1"]
    library = str(built.library)
    assert names([library], find_allocator("glibc")) == ["glibc", "libhakmem.so"]


def test_a_setting_for_all_arms_is_the_off_position(built: Allocator) -> None:
    assert names(["X=1"], built, {"X": "0", "Y": "2"}) == ["hakmem X=0", "hakmem X=1"]


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        (["lome"], "did you mean 'lone'"),
        (["mimaloc"], "did you mean 'mimalloc'"),
        (["zzzzzz"], "scripts/hakprof builds"),
        (["X=1", "X=2"], "X=1 and X=2 contradict: both set X"),
        (["a", "a"], "both turn a on"),
        (["a", "a+b"], "both turn a on"),
        (["a", "glibc"], "only one library"),
        (["a", "lone"], "hakmem:a+lone is not built here; in a clone scripts/hakprof"),
        (["hakmem"], "changes nothing"),
        (["ON=already"], "changes nothing"),
        (["./nosuch.so"], "nosuch.so"),
    ],
)
def test_bad_switches_are_one_line(built: Allocator, switches: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        names(switches, built, {"ON": "already"})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_switch_that_the_base_has_changes_nothing(built: Allocator) -> None:
    assert built
    with pytest.raises(UsageError, match="changes nothing"):
        parse_switches(["a"], find_allocator("hakmem:b+a"), {})
