"""Tables on narrow terminals, and in pipes, where nothing is ever cut."""

from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hakprof.cli.main import main
from hakprof.render import table as tables

ROWS = [
    ("", "glibc", "hakmem", "got by"),
    ("time per op", "6.842 ns", "2.399 ns", "timed"),
    ("  net of harness", "4.971 ns", "0.528 ns", ""),
]
RIGHT = (False, True, True, False)


@pytest.fixture
def page() -> Iterator[tables.Page]:
    """The one page there is, as it was afterwards."""
    before = tables.PAGE.text, tables.PAGE.line
    yield tables.PAGE
    tables.PAGE.text, tables.PAGE.line = before


def test_a_terminal_that_is_wide_enough_changes_nothing(page: tables.Page) -> None:
    whole = tables.table(ROWS, RIGHT)
    page.fit(max(map(len, whole)))
    assert tables.table(ROWS, RIGHT) == whole


def test_columns_go_on_below_each_other(page: tables.Page) -> None:
    page.fit(40)
    assert tables.table(ROWS, RIGHT) == [
        "                     glibc    hakmem",
        "time per op       6.842 ns  2.399 ns",
        "  net of harness  4.971 ns  0.528 ns",
        "",
        "             got by",
        "time per op  timed",
    ]


def test_a_table_becomes_a_list(page: tables.Page) -> None:
    page.fit(22)
    assert tables.table(ROWS, RIGHT) == [
        "time per op",
        "    glibc: 6.842 ns",
        "    hakmem: 2.399 ns",
        "    got by: timed",
        "  net of harness",
        "    glibc: 4.971 ns",
        "    hakmem: 0.528 ns",
    ]


WORDS = st.text("abc", min_size=1, max_size=9)


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=2, max_size=4)
    ),
    st.integers(24, 60),
)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_every_cell_is_shown_and_no_line_is_too_long(
    page: tables.Page, rows: list[list[str]], columns: int
) -> None:
    page.fit(columns)
    lines = tables.table(rows, [False] * len(rows[0]))
    assert max(map(len, lines)) <= columns
    shown = set(" ".join(lines).replace(":", "").split())
    assert shown >= set(chain.from_iterable(rows[1:]))


def test_a_pipe_gets_everything_and_a_terminal_what_fits(
    page: tables.Page, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "x" * 300
    assert tables.cut([long]) == [long]
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["list"]) == 0
    piped = capsys.readouterr().out
    assert max(map(len, piped.splitlines())) > 30
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > len(piped.splitlines())
    assert page.line == 30
    assert tables.cut([long]) == [long[:30]]
