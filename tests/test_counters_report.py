"""What `hakprof counters` shows, on recorded dumps of format 1."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hakprof.cli import main as cli
from hakprof.counters.identities import check_all
from hakprof.counters.layout import layout_of
from hakprof.counters.openmetrics import openmetrics
from hakprof.counters.read import read_dumps
from hakprof.counters.report import layout_notes, report_difference, report_on
from hakprof.counters.sentences import sentences
from hakprof.counters.view import View, view_of
from hakprof.errors import InputError
from hakprof.render.counters import render_csv, render_json, render_text
from hakprof.schema import load

ROOT = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).parent / "fixtures" / "counters"
SCHEMA = load(ROOT / "counters" / "hakmem.toml")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return Path(shutil.copy(RECORDED / "v1.json", tmp_path))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = tmp_path / "dead.json.live"
    path.write_bytes(gzip.decompress((RECORDED / "v1.live.gz").read_bytes()))
    return path


@pytest.fixture
def hakprof(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["counters", *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_recorded_dumps_of_format_1_stay_readable(document: Path, live: Path) -> None:
    (finished,) = read_dumps(document)
    (dead,) = read_dumps(live)
    assert (view_of(finished).allocs, view_of(finished).frees) == (3552, 3270)
    assert (view_of(dead).allocs, view_of(dead).frees) == (3550, 3255)
    for dump in (finished, dead):
        assert not [check for check in check_all(SCHEMA, dump) if check.breaches]


def test_a_report_has_its_tables_and_every_renderer_takes_it(document: Path) -> None:
    report = report_on(read_dumps(document), SCHEMA)
    names = [table.name for table in report.tables]
    assert names == [
        "allocations", "refill", "frees", "flush", "early_returns", "life", "system", "classes",
        "threads",
    ]  # fmt: skip
    assert report.broken == []
    assert max(map(len, render_text(report).splitlines())) <= 100
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert {row["table"] for row in rows} == set(names)
    assert json.loads(render_json(report))["counters"]["tls_sll"] > 1000


def test_shares_of_the_tables_add_up(document: Path) -> None:
    tables = {table.name: table for table in report_on(read_dumps(document), SCHEMA).tables}
    for name, column in (("refill", 5), ("frees", 2)):
        shares = [row[column] for row in tables[name].rows]
        assert sum(share for share in shares if isinstance(share, float)) == pytest.approx(1)


def test_openmetrics_is_what_the_parser_of_the_library_reads(document: Path) -> None:
    dumps = read_dumps(document)
    families = {f.name: f for f in text_string_to_metric_families(openmetrics(dumps, SCHEMA))}
    hits = sum(sample.value for sample in families["hakmem_cache_hit"].samples)
    assert hits == view_of(dumps[0]).sum("cache_hit")
    blocks = families["hakmem_stage_block"].samples
    assert {"pid", "stage", "class"} == set(blocks[0].labels)


def test_two_runs_are_compared_for_1000_operations(document: Path, live: Path) -> None:
    report = report_difference(read_dumps(document)[0], read_dumps(live)[0], SCHEMA)
    (table,) = report.tables
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["tls_sll"][2] == pytest.approx(1, abs=0.05)
    assert "early_return[cache_empty]" in rows


def test_a_difference_within_one_process_is_what_it_did_in_between(document: Path) -> None:
    (after,) = read_dumps(document)
    before = replace(after, threads=())
    report = report_difference(before, after, SCHEMA)
    assert report.view.allocs == sum(View(after.layout, t.counts).allocs for t in after.threads)
    with pytest.raises(InputError, match="swap"):
        report_difference(after, before, SCHEMA)


def test_counters_that_only_one_side_knows_are_named(document: Path) -> None:
    text = document.read_text().replace('"tls_sll"', '"older_name"')
    document.write_text(text)
    (dump,) = read_dumps(document)
    (note,) = layout_notes(dump.layout, SCHEMA)
    assert "unknown counters: older_name" in note
    assert "it lacks: learned, reused_other, reused_own, tls_sll" in note


def counted(**counts: int) -> View:
    """A view in which named counters have a value, in their first member or class."""
    layout = layout_of(SCHEMA)
    words = [0] * layout.counter_words
    for name, value in counts.items():
        base, _, member = name.partition("__")
        found = layout.counters[base]
        step = found.size // found.shape[0] if found.shape else 1
        index = found.axes[0].members.index(member) * step if member else 0
        words[found.word + index] = value
    return View(layout, np.array(words, np.uint64))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"cache_hit": 10}, "too few to conclude"),
        ({"cache_hit": 100_000, "refill_served": 10}, "never left the thread's own list"),
        ({"cache_hit": 50_000, "refill_served": 50_000}, "the refill ladder decides"),
        ({"cache_hit": 10_000, "early_return__foreign": 3}, "another allocator"),
        ({"cache_hit": 10_000, "alloc_failed": 3}, "failed for want of memory"),
        (
            {
                "tls_sll": 10_000,
                "ss_remote": 3_100,
                "stage_block__partial": 2_852,
                "reused_own": 2_852,
            },
            (
                "and 92.0 % of returned blocks come back by refill stage partial, 100.0 % "
                "of those to the slab's own thread: consumers feed producers."
            ),
        ),
        ({"cache_hit": 10_000, "lock_wait__class": 50}, "most for 'class'"),
        ({"cache_hit": 10_000, "os_call__mmap": 500}, "system calls, 50.0 for 1000"),
    ],
)
def test_sentences_say_what_the_counts_mean(counts: dict[str, int], words: str) -> None:
    assert any(words in text for text in sentences(counted(**counts)))


def test_the_command_shows_a_document(hakprof: Run, document: Path) -> None:
    code, out, err = hakprof(document)
    assert (code, err) == (0, "")
    assert "Refill ladder" in out
    assert "19 of 21 hold" in out
    assert "2 of 21 are about counters that this dump has not: waiting, reusers" in out


def test_the_command_shows_what_a_dead_process_left(hakprof: Run, live: Path) -> None:
    code, out, _ = hakprof(live.with_suffix(""))
    assert code == 0
    assert "as it was when it died" in out


def test_a_broken_identity_is_named_and_exits_1(hakprof: Run, document: Path) -> None:
    whole = json.loads(document.read_text())
    whole["threads"][1]["counts"]["superslab_mapped"] += 1
    document.write_text(json.dumps(whole))
    code, out, err = hakprof(document)
    assert code == 1
    assert "superslabs: 4 against 3 (superslab_mapped" in out
    assert err.startswith("hakprof: identity broken: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--diff", "one"], 2),
        (["--json", "--csv", "x"], 2),
        (["--live", "1", "x"], 2),
        (["--live", "1", "--interval", "1e300"], 2),
        (["/nonexistent.json"], 6),
        (["/dev/null"], 6),
        (["/etc/passwd"], 6),
        (["--live", "4194305"], 6),
    ],
)
def test_wrong_requests_are_one_line(hakprof: Run, arguments: list[str], code: int) -> None:
    done, out, err = hakprof(*arguments)
    assert done == code
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize("flag", ["--json", "--csv", "--openmetrics"])
def test_other_formats_keep_to_standard_output(hakprof: Run, flag: str, document: Path) -> None:
    code, out, err = hakprof(flag, document)
    assert (code, err) == (0, "")
    assert len(out) > 1000
