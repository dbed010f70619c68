"""Counter files of every kind, also broken and hostile ones."""

import json
import os
import struct
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakprof.counters.binary import HEADER, HEADER_BYTES, MAGIC, Header, parse_live
from hakprof.counters.document import parse_document
from hakprof.counters.dump import State, total
from hakprof.counters.read import live_file_of, read_dumps, read_file
from hakprof.errors import InputError

LAYOUT = {
    "schema": "toy",
    "version": 1,
    "hash": "0",
    "axes": {"class": 3, "stage": ["spare", "mmap"]},
    "counters": [["hit", ["class"]], ["block", ["stage", "class"]], ["lonely", []]],
    "gauges": [["live", []]],
}
WORDS = 3 + 6 + 1
AT_LAYOUT, AT_INFO, AT_BASE, AT_ENDED, AT_BLOCKS = 1024, 512, 4096, 8192, 12288
BLOCK_BYTES = 4096
COUNTS_AT = 48
NOBODY = 2**22 + 1  # beyond pid_max


@dataclass
class LiveFile:
    """Builds a live file in either byte order; tests bend single fields."""

    order: str = "<"
    threads: list[tuple[int, list[int]]] = field(default_factory=lambda: [(7, [5] * WORDS)])
    info: bytes = b'{"class_bytes":[0,16,32]}'
    layout: bytes = json.dumps(LAYOUT).encode()
    bend: dict[str, int] = field(default_factory=dict)

    def build(self) -> bytes:
        data = bytearray(AT_BLOCKS + BLOCK_BYTES * len(self.threads))
        header = Header(
            format=1,
            header_bytes=HEADER_BYTES,
            state=1,
            pid=NOBODY,
            parent_pid=1,
            started_ns=10,
            info_at=AT_INFO,
            info_bytes=len(self.info),
            layout_at=AT_LAYOUT,
            layout_bytes=len(self.layout),
            gauges_at=256,
            base_at=AT_BASE,
            ended_at=AT_ENDED,
            blocks_at=AT_BLOCKS,
            block_bytes=BLOCK_BYTES,
            counts_at=COUNTS_AT,
            blocks=len(self.threads),
            blocks_in_memory=0,
            threads_ended=2,
            threads_lost=0,
            threads_sharing=0,
            moves=0,
        )
        header = replace(header, **self.bend)
        data[:8] = MAGIC
        struct.pack_into(self.order + "I" + HEADER, data, 8, 0x01020304, *astuple(header))
        data[AT_INFO : AT_INFO + len(self.info)] = self.info
        data[AT_LAYOUT : AT_LAYOUT + len(self.layout)] = self.layout
        struct.pack_into(self.order + "Q", data, 256, 9)
        self._counts(data, AT_ENDED, [1] * WORDS)
        for index, (tid, counts) in enumerate(self.threads):
            at = AT_BLOCKS + index * BLOCK_BYTES
            struct.pack_into(self.order + "IIQ16s", data, at, 1, tid, 11, b"worker")
            self._counts(data, at, counts)
        return bytes(data)

    def _counts(self, data: bytearray, at: int, counts: list[int]) -> None:
        struct.pack_into(f"{self.order}{WORDS}Q", data, at + COUNTS_AT, *counts)


def one_line(error: InputError) -> None:
    assert "\n" not in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("order", ["<", ">"])
def test_live_file_of_either_byte_order(order: str) -> None:
    dump = parse_live(LiveFile(order, [(7, [5] * WORDS), (8, list(range(WORDS)))]).build(), "f")
    assert dump.state is State.DIED
    assert dump.problems == ()
    assert [(t.tid, t.name, t.started_ns) for t in dump.threads] == [
        (7, "worker", 11),
        (8, "worker", 11),
    ]
    assert total(dump.history(), dump.layout, "hit") == 3 * 5 + (0 + 1 + 2) + 3
    assert total(dump.history(), dump.layout, "block", stage="mmap") == 3 * 5 + (6 + 7 + 8) + 3
    assert int(dump.gauges[0]) == 9
    assert dump.class_bytes == [0, 16, 32]


def test_a_live_file_cut_short_gives_what_is_there() -> None:
    whole = LiveFile(threads=[(7, [5] * WORDS), (8, [6] * WORDS)]).build()
    dump = parse_live(whole[: AT_BLOCKS + BLOCK_BYTES + 100], "f")
    assert [t.tid for t in dump.threads] == [7]
    assert dump.problems == ("cut short: 1 of 2 thread blocks are there",)


@pytest.mark.parametrize("size", [0, 4, 8, 11, 12, HEADER_BYTES - 1, HEADER_BYTES, 600, 1100])
def test_a_live_file_without_its_layout_is_one_clear_error(size: int) -> None:
    with pytest.raises(InputError):
        parse_live(LiveFile().build()[:size], "f")


@pytest.mark.parametrize(
    "bend",
    [
        {"format": 2},
        {"layout_bytes": 2**63},
        {"layout_at": 2**64 - 1},
        {"layout_bytes": 3},
    ],
)
def test_unusable_headers_are_one_clear_error(bend: dict[str, int]) -> None:
    with pytest.raises(InputError):
        parse_live(LiveFile(bend=bend).build(), "f")


@pytest.mark.parametrize(
    "bend",
    [
        {"info_bytes": 2**40},
        {"gauges_at": 2**64 - 8},
        {"base_at": 2**64 - 8},
        {"ended_at": 3},
        {"blocks_at": 2**63},
        {"block_bytes": 0},
        {"block_bytes": 8},
        {"counts_at": 2**64 - 1},
        {"blocks": 2**64 - 1},
        {"blocks_in_memory": 16},
        {"moves": 1},
    ],
)
def test_hostile_sizes_lose_their_part_and_are_named(bend: dict[str, int]) -> None:
    assert parse_live(LiveFile(bend=bend).build(), "f").problems


@pytest.mark.parametrize("pid", [0, 2**32 - 1])
def test_odd_process_ids_are_survived(pid: int) -> None:
    assert parse_live(LiveFile(bend={"pid": pid}).build(), "f").pid == pid


HOSTILE_LAYOUTS: list[Any] = [
    [],
    {},
    {"axes": {"class": 2**40}, "counters": [], "gauges": []},
    {"axes": {"class": -1}, "counters": [], "gauges": []},
    {"axes": {"class": []}, "counters": [], "gauges": []},
    {"axes": {"class": ["a", "a"]}, "counters": [], "gauges": []},
    {"axes": {"class": 1000}, "counters": [["x", ["class"] * 9]], "gauges": []},
    {"axes": {}, "counters": [["x", ["class"]]], "gauges": []},
    {"axes": {}, "counters": [["x", []], ["x", []]], "gauges": []},
    {"axes": {}, "counters": [["x"]], "gauges": []},
    {"axes": {}, "counters": {}, "gauges": []},
]


@pytest.mark.parametrize("layout", HOSTILE_LAYOUTS, ids=json.dumps)
def test_hostile_layouts_are_one_clear_error(layout: object) -> None:
    with pytest.raises(InputError):
        parse_live(LiveFile(layout=json.dumps(layout).encode()).build(), "f")


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(InputError):
        parse_live(LiveFile(layout=b"[" * 2000).build(), "f")


@given(st.data())
@settings(max_examples=300)
def test_mutated_live_files_end_in_a_dump_or_in_input_error(data: st.DataObject) -> None:
    mutated = bytearray(LiveFile().build())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, AT_LAYOUT + 300))
        mutated[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    try:
        parse_live(bytes(mutated[:cut]), "f").history()
    except InputError as error:
        one_line(error)


def document(**changes: object) -> str:
    whole = {
        "hakmem_counters": 1,
        "pid": 3,
        "parent_pid": 2,
        "state": 2,
        "started_ns": 1,
        "written_ns": 2,
        "threads_ended": 0,
        "threads_sharing": 0,
        "info": {},
        "layout": LAYOUT,
        "gauges": {"live": 4},
        "base": {"counts": {}},
        "ended": {"counts": {"hit": {"1": 10}}},
        "threads": [
            {"tid": n, "name": "t", "started_ns": 1, "counts": {"block": {"mmap": {"2": n}}}}
            for n in (1, 2)
        ],
    }
    return json.dumps(whole | changes)


def test_document_and_what_follows_it() -> None:
    dump, rest = parse_document(document() + "\n" + document(pid=4), "f")
    assert (dump.pid, dump.state) == (3, State.FINISHED)
    assert total(dump.history(), dump.layout, "hit") == 10
    assert total(dump.history(), dump.layout, "block", stage="mmap") == 3
    assert parse_document(rest, "f")[0].pid == 4


def test_a_document_cut_short_keeps_the_threads_before_the_cut() -> None:
    text = document()
    dump, rest = parse_document(text[: text.rindex('{"tid"') + 5], "f")
    assert [t.tid for t in dump.threads] == [1]
    assert len(dump.problems) == 1
    assert "cut short" in dump.problems[0]
    assert rest == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"hakmem_counters": 99},
        {"layout": None},
        {"layout": {"axes": 7}},
    ],
)
def test_documents_that_cannot_be_read(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        parse_document(document(**changes), "f")


@pytest.mark.parametrize(
    "counts",
    [
        {"unheard": 1},
        {"hit": {"3": 1}},
        {"hit": {"-1": 1}},
        {"hit": {"1": -1}},
        {"hit": {"1": 2**64}},
        {"hit": {"1": "x"}},
        {"block": {"spice": {"1": 1}}},
        {"lonely": {"1": 1}},
    ],
)
def test_counts_that_do_not_fit_are_named_and_left_out(counts: dict[str, object]) -> None:
    dump, _ = parse_document(document(ended={"counts": counts}), "f")
    assert len(dump.problems) == 1
    assert not dump.ended.any()


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"hakmem_counters"', "nonsense", '{"a":1}'])
def test_other_texts_are_no_documents(text: str) -> None:
    with pytest.raises(InputError):
        parse_document(text, "f")


@given(st.data())
@settings(max_examples=300)
def test_mutated_documents_end_in_a_dump_or_in_input_error(data: st.DataObject) -> None:
    text = document()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 8))
        new = data.draw(st.text(alphabet='{}[]",:0123456789ab\\\ud800', max_size=6))
        text = text[:at] + new + text[at + cut :]
    try:
        parse_document(text, "f")[0].history()
    except InputError as error:
        one_line(error)


def test_a_folder_is_read_as_its_processes(tmp_path: Path) -> None:
    (tmp_path / "hakmem.1.json").write_text(document(pid=1, started_ns=5))
    (tmp_path / "hakmem.2.json.live").write_bytes(LiveFile(bend={"started_ns": 1}).build())
    (tmp_path / "hakmem.3.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not mine")
    assert [dump.pid for dump in read_dumps(tmp_path)] == [NOBODY, 1]


def test_an_empty_folder_and_a_missing_file_are_clear(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no counter file"):
        read_dumps(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_dumps(tmp_path / "dump.json")
    (tmp_path / "empty.json").touch()
    with pytest.raises(InputError, match="empty"):
        read_dumps(tmp_path / "empty.json")


def test_the_live_file_stands_in_for_a_document_that_was_never_written(tmp_path: Path) -> None:
    (tmp_path / "dump.json.live").write_bytes(LiveFile().build())
    (dump,) = read_dumps(tmp_path / "dump.json")
    assert dump.state is State.DIED


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(InputError, match="at most"):
        read_file(tmp_path / "huge.json")


def test_processes_without_counters_say_so() -> None:
    with pytest.raises(InputError, match="does not run on hakmem"):
        live_file_of(os.getpid())
    with pytest.raises(InputError, match="no process"):
        live_file_of(NOBODY)


def test_a_thousand_threads_are_summed() -> None:
    dump = parse_live(LiveFile(threads=[(n, [1] * WORDS) for n in range(1, 1001)]).build(), "f")
    assert len(dump.threads) == 1000
    assert np.array_equal(dump.history(), np.full(WORDS, 1001, np.uint64))


CORPUS = Path(__file__).parent / "fuzz" / "corpus" / "counters"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_ends_in_a_dump_or_in_input_error(path: Path) -> None:
    data = path.read_bytes()
    try:
        if data.startswith(MAGIC):
            parse_live(data, "f").own()
        else:
            parse_document(data.decode(errors="replace"), "f")[0].own()
    except InputError as error:
        one_line(error)
