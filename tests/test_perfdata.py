"""perf.data: against perf itself where there is one, and against files built here byte by byte."""

import collections
import contextlib
import os
import random
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hakprof.errors import InputError
from hakprof.perfdata import stream, summing
from hakprof.perfdata.chains import Chains, ChainTable
from hakprof.perfdata.layout import Order
from hakprof.perfdata.reader import Recording, read
from hakprof.perfdata.resolve import resolve
from hakprof.profile import ImageKind

IP, TID, TIME, CALLCHAIN, ID, PERIOD, READ = 1, 2, 4, 32, 64, 256, 16
IDENTIFIER = 1 << 16
PLAIN = IP | TID | TIME | PERIOD
USER, KERNEL = 2, 1
USER_MARK = (1 << 64) - 512
KERNEL_MARK = (1 << 64) - 128
SAMPLE_ID_ALL = 1 << 18

needs_perf = pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed")


class Writer:
    """Builds a perf.data file in either byte order."""

    def __init__(self, order: str = "<", sample_types: tuple[int, ...] = (PLAIN,)) -> None:
        self.order = order
        self.sample_types = sample_types
        self.records: list[bytes] = []
        self.features: dict[int, bytes] = {}

    def pack(self, form: str, *values: int | bytes) -> bytes:
        return struct.pack(self.order + form, *values)

    def record(self, kind: int, misc: int, body: bytes) -> None:
        body += bytes(-len(body) % 8)
        self.records.append(self.pack("IHH", kind, misc, 8 + len(body)) + body)

    def trailer(self, time: int) -> bytes:
        return self.pack("IIQ", 1, 1, time)

    def comm(self, time: int, pid: int, name: str, *, after_exec: bool = False) -> None:
        raw = name.encode() + b"\0"
        body = self.pack("II", pid, pid) + raw + bytes(-len(raw) % 8)
        self.record(3, (1 << 13) * after_exec, body + self.trailer(time))

    def mmap2(
        self, time: int, pid: int, place: tuple[int, int, int], path: str, *, build_id: str = ""
    ) -> None:
        ids = bytes.fromhex(build_id)
        inode = self.pack("B3x20s", len(ids), ids) if ids else bytes(24)
        raw = path.encode() + b"\0"
        body = self.pack("iIQQQ", pid, pid & 0xFFFF, *place) + inode
        body += self.pack("II", 5, 2) + raw + bytes(-len(raw) % 8)
        self.record(10, (1 << 14) * bool(ids), body + self.trailer(time))

    def fork(self, time: int, pid: int, parent: int) -> None:
        self.record(7, 0, self.pack("IIIIQ", pid, parent, pid, parent, time) + self.trailer(time))

    def sample(self, time: int, pid: int, ip: int, period: int = 1, mode: int = USER) -> None:
        self.record(9, mode, self.pack("QIIQQ", ip, pid, pid, time, period))

    def chain(self, time: int, pid: int, frames: list[int], mode: int = USER) -> None:
        body = self.pack("QIIQQ", frames[1], pid, pid, time, 1)
        self.record(9, mode, body + self.pack(f"{len(frames) + 1}Q", len(frames), *frames))

    def data(self) -> bytes:
        attrs = b""
        attr_size = 112
        ids_at = 104 + len(self.sample_types) * (attr_size + 16)
        for i, sample_type in enumerate(self.sample_types):
            flags = SAMPLE_ID_ALL
            if self.order == ">":
                flags = int(f"{flags:064b}"[::-1], 2)
            attr = self.pack("IIQQQQQ", 1, attr_size, 0, 1000, sample_type, 0, flags)
            attrs += attr + bytes(attr_size - len(attr)) + self.pack("QQ", ids_at + 8 * i, 8)
        ids = b"".join(self.pack("Q", 100 + i) for i in range(len(self.sample_types)))
        records = b"".join(self.records)
        data_at = ids_at + len(ids)
        bits = sum(1 << feature for feature in self.features)
        table_at = data_at + len(records)
        at = table_at + 16 * len(self.features)
        table = sections = b""
        for _, section in sorted(self.features.items()):
            table += self.pack("QQ", at + len(sections), len(section))
            sections += section
        magic = b"PERFILE2" if self.order == "<" else b"2ELIFREP"
        header = magic + self.pack(
            "12Q", 104, attr_size + 16, 104, len(attrs), data_at, len(records), 0, 0, bits, 0, 0, 0
        )
        return header + attrs + ids + records + table + sections

    def read(self, folder: Path) -> Recording:
        path = folder / "perf.data"
        path.write_bytes(self.data())
        return read(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    file = Writer(order)
    file.features[3] = file.pack("I", 8) + b"elsewhr\0"
    file.features[11] = file.pack("II", 1, 4) + b"ls\0\0"
    file.comm(1, 7, "program")
    file.mmap2(2, 7, (0x1000, 0x1000, 0x400), "/bin/program", build_id="aabbccdd" * 5)
    file.sample(5, 7, 0x1010, period=3)
    file.sample(6, 7, 0x1010, period=4)
    file.sample(7, 7, 0x9000, period=2)
    file.record(2, 0, file.pack("QQ", 100, 17) + file.trailer(8))
    recording = file.read(tmp_path)
    assert recording.header.hostname == "elsewhr"
    assert recording.header.command == ("ls",)
    assert recording.lost == 17
    assert recording.samples.time_ns.tolist() == [5, 6, 7]
    profile = resolve(recording)
    named = {
        (profile.images[i].path, int(o)): w
        for i, o, w in zip(profile.image, profile.offset, profile.weight, strict=True)
    }
    assert named == {("/bin/program", 0x410): 7.0, ("[unknown]", 0x9000): 2.0}
    assert [i.build_id for i in profile.images if i.kind is ImageKind.FILE] == ["aabbccdd" * 5]


def test_a_mapping_that_takes_another_ones_place(tmp_path: Path) -> None:
    file = Writer()
    file.mmap2(1, 7, (0x1000, 0x3000, 0), "/old")
    file.sample(5, 7, 0x2000)
    file.mmap2(6, 7, (0x2000, 0x1000, 0), "/new")
    file.sample(7, 7, 0x2000)
    file.sample(8, 7, 0x3000)
    file.sample(9, 7, 0x1000)
    assert _by_path(file.read(tmp_path)) == {"/old": 3.0, "/new": 1.0}


def test_children_inherit_and_exec_forgets(tmp_path: Path) -> None:
    file = Writer()
    file.mmap2(1, 7, (0x1000, 0x1000, 0), "/parent")
    file.fork(2, 8, 7)
    file.sample(3, 8, 0x1000)
    file.comm(4, 8, "child", after_exec=True)
    file.mmap2(5, 8, (0x1000, 0x1000, 0), "/child")
    file.sample(6, 8, 0x1000)
    file.sample(7, 8, 0x8000)
    file.sample(8, 7, 0x1000)
    assert _by_path(file.read(tmp_path)) == {"/parent": 2.0, "/child": 1.0, "[unknown]": 1.0}


def test_call_chains_are_folded_and_callers_step_back(tmp_path: Path) -> None:
    file = Writer(sample_types=(PLAIN | CALLCHAIN,))
    file.mmap2(1, 7, (0x1000, 0x1000, 0), "/bin/program")
    for time in (5, 6):
        file.chain(time, 7, [USER_MARK, 0x1100, 0x1200])
    deep = [KERNEL_MARK, 0xFFFFFFFF81000010, 0xFFFFFFFF81000020, USER_MARK, 0x1300]
    file.chain(7, 7, deep, mode=KERNEL)
    profile = resolve(file.read(tmp_path))
    assert profile.stacks is not None
    assert sorted(profile.stacks.weight.tolist()) == [1.0, 2.0]
    stacks = [
        [
            (profile.images[profile.image[row]].kind, int(profile.offset[row]))
            for row in profile.stacks.frames[start:end]
        ]
        for start, end in pairwise(profile.stacks.starts)
    ]
    assert [(ImageKind.FILE, 0x100), (ImageKind.FILE, 0x1FF)] in stacks
    assert [
        (ImageKind.KERNEL, 0xFFFFFFFF81000010),
        (ImageKind.KERNEL, 0xFFFFFFFF8100001F),
        (ImageKind.FILE, 0x300),
    ] in stacks


def test_several_events_are_told_apart_by_id(tmp_path: Path) -> None:
    file = Writer(
        sample_types=(IDENTIFIER | IP | TID | TIME, IDENTIFIER | IP | TID | TIME | PERIOD)
    )
    file.record(9, USER, file.pack("QQIIQ", 100, 0x10, 7, 7, 1))
    file.record(9, USER, file.pack("QQIIQQ", 101, 0x20, 7, 7, 2, 55))
    recording = file.read(tmp_path)
    assert resolve(recording, 0).offset.tolist() == [0x10]
    assert resolve(recording, 1).weight.tolist() == [55.0]


def _by_path(recording: Recording) -> dict[str, float]:
    profile = resolve(recording)
    sums = np.bincount(profile.image, profile.weight, len(profile.images))
    return {image.path: w for image, w in zip(profile.images, sums, strict=True) if w}


@pytest.mark.parametrize("kind", [81, 83])
def test_compressed_records_of_both_kinds(tmp_path: Path, kind: int) -> None:
    plain = Writer()
    plain.mmap2(1, 7, (0x1000, 0x1000, 0), "/bin/program")
    for i in range(3000):
        plain.sample(2 + i, 7, 0x1000 + i % 7)
    packer = zstandard.ZstdCompressor().compressobj()
    file = Writer()
    file.features[27] = file.pack("5I", 1, 1, 1, 2, 4096)
    raw = b"".join(plain.records)
    for at in range(0, len(raw), 1001):  # cut in the middle of records
        block = packer.compress(raw[at : at + 1001]) + packer.flush(
            zstandard.COMPRESSOBJ_FLUSH_BLOCK
        )
        if kind == 83:
            padded = file.pack("Q", len(block)) + block
            file.record(83, 0, padded)
        else:
            file.records.append(file.pack("IHH", 81, 0, 8 + len(block)) + block)
        file.record(68, 0, b"")
    assert _by_path(file.read(tmp_path)) == {"/bin/program": 3000.0}


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    file = Writer()
    file.features[27] = file.pack("5I", 1, 1, 1, 2, 4096)
    filler = struct.pack("<IHH", 68, 0, 8) * (4 << 20)
    packer = zstandard.ZstdCompressor().compressobj()
    packed = b"".join(packer.compress(filler) for _ in range(8))
    packed += packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    for at in range(0, len(packed), 60000):
        block = packed[at : at + 60000]
        file.records.append(struct.pack("<IHH", 81, 0, 8 + len(block)) + block)
    with pytest.raises(InputError, match="times its size"):
        file.read(tmp_path)


def _walked(data: bytes, order: str) -> list[int]:
    starts, at = [], 0
    while at < len(data):
        starts.append(at // 8)
        kind, _, size = struct.unpack_from(f"{order}IHH", data, at)
        trace = struct.unpack_from(f"{order}Q", data, at + 8)[0] if kind == 71 else 0
        at += size + trace
    return starts


@given(st.integers(0, 2**32), st.integers(1, 40), st.booleans(), st.sampled_from("<>"))
@settings(max_examples=60)
def test_record_starts_do_not_depend_on_what_looks_like_one(
    seed: int,
    longest: int,
    disguised: bool,  # noqa: FBT001 # a property's input
    order: str,
) -> None:
    """Headers inside of records, records that do not look like any, raw traces behind records."""
    rng = random.Random(seed)  # noqa: S311 # reproducible, not secret
    lure = struct.pack(f"{order}IHH", 9, 2, 24)
    chunks = []
    for _ in range(3000):
        size = rng.randint(1, longest)
        fill = lure if disguised else rng.randbytes(8)
        kind = rng.choice([9, 9, 9, 3, 68, 200])
        chunks.append(struct.pack(f"{order}IHH", kind, 2, 8 * size) + fill * (size - 1))
        if rng.random() < 0.01:
            chunks.append(struct.pack(f"{order}IHHQ", 71, 0, 16, 8 * size) + lure * size)
    data = b"".join(chunks)
    reader = Order(order)
    starts, used = stream.record_starts(reader.words(data), reader, has_trace=True)
    assert starts.tolist() == _walked(data, order)
    assert used == len(data) // 8


@given(
    st.lists(st.integers(0, 40), max_size=300),
    st.integers(0, 63),
    st.sampled_from([1, 7, 1 << 16]),
    st.booleans(),
)
@settings(max_examples=60)
def test_sums_do_not_depend_on_which_key_has_a_slot(
    numbers: list[int],
    shift: int,
    piece: int,
    weighted: bool,  # noqa: FBT001 # a property's input
) -> None:
    keys = np.array(numbers, np.uint64) << np.uint64(shift)
    period = np.arange(keys.size, dtype=np.uint64) if weighted else None
    with mock.patch.multiple(summing, PIECE=piece, SLOT_BITS=2):
        values, weights, counts = summing.summed(keys, period, 3)
    expected = collections.Counter(keys.tolist())
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == expected
    heavy: collections.Counter[int] = collections.Counter()
    for key, weight in zip(keys.tolist(), period if weighted else [3] * keys.size, strict=True):
        heavy[key] += int(weight)
    assert dict(zip(values.tolist(), weights.tolist(), strict=True)) == heavy


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=60))
def test_chains_have_equal_keys_if_they_are_equal(lists: list[list[int]]) -> None:
    table = ChainTable()
    seen: dict[int, tuple[int, ...]] = {}
    for at in range(0, len(lists), 7):  # several blocks
        part = lists[at : at + 7]
        lengths = np.array([len(one) for one in part])
        frames = np.array([frame for one in part for frame in one], np.uint64)
        keys = table.add(Chains(frames, np.cumsum(lengths) - lengths, lengths))
        assert keys is not None
        for key, one in zip(keys.tolist(), part, strict=True):
            assert seen.setdefault(key, tuple(one)) == tuple(one)
    assert len(seen) == len({tuple(one) for one in lists})
    kept, offsets = table.distinct().frames(np.array(list(seen), np.uint64))
    found = [tuple(kept[a:b].tolist()) for a, b in pairwise(offsets)]
    assert found == list(seen.values())


def test_blocks_cut_records_and_join_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Writer()
    file.mmap2(1, 7, (0x1000, 0x1000, 0), "/bin/program")
    for i in range(2000):
        file.sample(2 + i, 7, 0x1000 + i)
    whole = file.read(tmp_path)
    monkeypatch.setattr(stream, "BLOCK_BYTES", 1000)
    parts = file.read(tmp_path)
    assert whole.samples.address.tolist() == parts.samples.address.tolist()
    assert len(parts.samples.address) == 2000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a perf.data file"),
        (b"\x7fELF" + bytes(200), "not a perf.data file"),
        (b"PERFFILE" + bytes(96), "older than"),
        (b"PERFILE2" + struct.pack("<Q", 16) + bytes(64), "through a pipe"),
        (b"2ELIFREP" + struct.pack(">Q", 16) + bytes(64), "through a pipe"),
        (b"PERFILE2" + bytes(20), "truncated"),
    ],
)
def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "some.data"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unfinished_recording_is_refused(tmp_path: Path) -> None:
    file = Writer()
    with pytest.raises(InputError, match="never finished"):
        file.read(tmp_path)


def test_no_samples_are_said(tmp_path: Path) -> None:
    file = Writer()
    file.comm(1, 7, "program")
    with pytest.raises(InputError, match="no samples"):
        resolve(file.read(tmp_path))


def _rich() -> bytes:
    file = Writer(sample_types=(PLAIN | CALLCHAIN,))
    file.features[2] = file.pack("IHHi24s8s", 0, 0, 44, 7, bytes(24), b"/bin/x\0\0")
    file.features[3] = file.pack("I", 8) + b"elsewhr\0"
    file.features[12] = file.pack("II", 1, 112) + bytes(112) + file.pack("II", 1, 8) + b"cycles\0\0"
    file.comm(1, 7, "program")
    file.mmap2(1, 7, (0x1000, 0x1000, 0), "/bin/program")
    file.fork(2, 8, 7)
    for time in range(40):
        file.chain(time, 7, [USER_MARK, 0x1100 + time, 0x1200])
    return file.data()


RICH = _rich()


def test_every_truncation_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "perf.data"
    for size in range(0, len(RICH), 7):
        path.write_bytes(RICH[:size])
        with pytest.raises(InputError):
            read(path)


@given(st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), max_size=12))
@settings(max_examples=400)
def test_mutations_end_in_a_result_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(RICH)
    for at, value in changes:
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "mutated.data"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        resolve(read(path))


PROGRAM = """
import mmap
area = mmap.mmap(-1, 16 << 20)
for turn in range(2):
    for at in range(0, len(area), 4096):
        area[at] = 1
    area.madvise(mmap.MADV_DONTNEED)
"""


def _record(folder: Path, *options: str) -> Path:
    """perf may come too late for some samples; it ends when its program is only stopped."""
    path = folder / "perf.data"
    command = ["perf", "record", "-q", "-e", "page-faults", "-c", "1", "-o", str(path), *options]
    for _ in range(10):
        done = subprocess.run(
            [*command, "--", sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"perf cannot record here: {done.stderr.strip()[:100]}")
        recording = read(path)
        if recording.samples.pid.size + recording.lost > 8000 and recording.samples.pid.size > 100:
            return path
    pytest.fail("perf saw too little in each of ten runs")


@needs_perf
@pytest.mark.parametrize("options", [(), ("-g",), ("-z",), ("-g", "-z"), ("-d",)], ids=str)
def test_every_sample_as_perf_script_prints_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = _record(tmp_path, *options)
    shown = subprocess.run(
        ["perf", "script", "-i", path, "-G", "-F", "pid,tid,time,ip", "--ns"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    theirs = collections.Counter()
    for line in shown.splitlines():
        who, time, ip = line.split()[:3]
        pid = who.split("/")[0]
        seconds, ns = time.rstrip(":").split(".")
        theirs[int(pid), int(seconds) * 10**9 + int(ns), int(ip, 16)] += 1
    recording = read(path)
    samples = recording.samples
    columns = (samples.pid, samples.time_ns, samples.address)
    ours = collections.Counter(zip(*(c.tolist() for c in columns), strict=True))
    assert ours == theirs
    assert ours.total() + recording.lost > 8000


@needs_perf
def test_shares_by_library_as_perf_report_prints_them(tmp_path: Path) -> None:
    path = _record(tmp_path, "-g")
    shown = subprocess.run(
        ["perf", "report", "-i", path, "--stdio", "--no-children", "-g", "none", "-s", "dso"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split() for line in shown.splitlines() if line and line[0] != "#"]
    theirs = {name: float(share.rstrip("%")) for share, name in rows}
    by_path = _by_path(read(path))
    total = sum(by_path.values())
    ours: collections.Counter[str] = collections.Counter()
    for name, weight in by_path.items():
        ours[name.rsplit("/", 1)[-1]] += 100 * weight / total
    for name, share in theirs.items():
        assert ours[name] == pytest.approx(share, abs=0.1)


@needs_perf
def test_a_recording_through_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe.data"
    with path.open("wb") as out:
        done = subprocess.run(
            ["perf", "record", "-q", "-e", "page-faults", "-o", "-", "true"],
            stdout=out,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode:
        pytest.skip("perf cannot record here")
    with pytest.raises(InputError, match="through a pipe"):
        read(path)
