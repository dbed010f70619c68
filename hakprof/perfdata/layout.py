"""What lies where in a perf.data file: record types, event attributes, the fields of a sample.

The layout is the kernel's (include/uapi/linux/perf_event.h) and perf's own
(tools/perf/Documentation/perf.data-file-format.txt). All figures are in the writer's byte order;
`Order` hides it: after `Order.words` everything is a native 64-bit word.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from hakprof.errors import InputError

Words = NDArray[np.uint64]

MAGIC = b"PERFILE2"
HEADER_SIZE = 104
PIPE_HEADER_SIZE = 16


class Record(IntEnum):
    """Types of records that mean something here; the rest is stepped over."""

    MMAP = 1
    LOST = 2
    COMM = 3
    THROTTLE = 5
    FORK = 7
    SAMPLE = 9
    MMAP2 = 10
    LOST_SAMPLES = 13
    AUXTRACE = 71
    COMPRESSED = 81
    COMPRESSED2 = 83


class Feature(IntEnum):
    """Sections behind the data; bits of the header's bitmap."""

    BUILD_ID = 2
    HOSTNAME = 3
    OSRELEASE = 4
    VERSION = 5
    ARCH = 6
    CMDLINE = 11
    EVENT_DESC = 12
    AUXTRACE = 18
    DIR_FORMAT = 24
    COMPRESSED = 27


class Field(IntFlag):
    """Bits of `perf_event_attr.sample_type`."""

    IP = 1 << 0
    TID = 1 << 1
    TIME = 1 << 2
    ADDR = 1 << 3
    READ = 1 << 4
    CALLCHAIN = 1 << 5
    ID = 1 << 6
    CPU = 1 << 7
    PERIOD = 1 << 8
    STREAM_ID = 1 << 9
    STACK_USER = 1 << 13
    IDENTIFIER = 1 << 16


FIXED_ORDER = (
    Field.IDENTIFIER,
    Field.IP,
    Field.TID,
    Field.TIME,
    Field.ADDR,
    Field.ID,
    Field.STREAM_ID,
    Field.CPU,
    Field.PERIOD,
)
"""One word each, in this order, at the start of a sample; then READ, then CALLCHAIN."""

TRAILER_ORDER = (
    Field.TID,
    Field.TIME,
    Field.ID,
    Field.STREAM_ID,
    Field.CPU,
    Field.IDENTIFIER,
)
"""The same words at the end of every other record, if `sample_id_all` is set."""


class ReadFormat(IntFlag):
    """Bits of `perf_event_attr.read_format`."""

    ENABLED = 1 << 0
    RUNNING = 1 << 1
    ID = 1 << 2
    GROUP = 1 << 3
    LOST = 1 << 4


class CpuMode(IntEnum):
    """Low three bits of a record's `misc`."""

    UNKNOWN = 0
    KERNEL = 1
    USER = 2
    HYPERVISOR = 3
    GUEST_KERNEL = 4
    GUEST_USER = 5


MISC_CPUMODE = 7
MISC_EXEC_OR_DATA = 1 << 13  # COMM: after exec; MMAP: not executable
MISC_BUILD_ID = 1 << 14  # MMAP2: a build id stands where inode and device would
MISC_BUILD_ID_SIZE = 1 << 15  # build id table: the id's length is given
CONTEXT_MAX = (1 << 64) - 4095
"""Call chain entries from here up are marks (PERF_CONTEXT_*), no addresses."""

CONTEXT_MODES = {
    (1 << 64) - 32: CpuMode.HYPERVISOR,
    (1 << 64) - 128: CpuMode.KERNEL,
    (1 << 64) - 512: CpuMode.USER,
    (1 << 64) - 2176: CpuMode.GUEST_KERNEL,
    (1 << 64) - 2560: CpuMode.GUEST_USER,
}


@dataclass(frozen=True, slots=True)
class Order:
    """The writer's byte order: `prefix` is "<" or ">" as in struct and NumPy."""

    prefix: str

    @property
    def little(self) -> bool:
        """Whether the low half of a word comes first."""
        return self.prefix == "<"

    def words(self, data: bytes | bytearray | memoryview) -> Words:
        """The whole 64-bit words of `data`, native; a view where the order is ours."""
        usable = len(data) & ~7
        raw = np.frombuffer(data, dtype=f"{self.prefix}u8", count=usable // 8)
        return raw.astype(np.uint64, copy=False)

    def first_halves(self, words: Words) -> Words:
        """The first of the two 32-bit fields of each word, as it lies in the file."""
        return words & np.uint64(0xFFFFFFFF) if self.little else words >> np.uint64(32)

    @property
    def all_but_misc(self) -> np.uint64:
        """Mask of a header word's type and size."""
        return np.uint64(0xFFFF0000FFFFFFFF if self.little else 0xFFFFFFFF0000FFFF)

    @property
    def never_in_header(self) -> np.uint64:
        """Bits of a word that are set in no header: of a type from 128 up, of an uneven size."""
        return np.uint64(0x00070000FFFFFF80 if self.little else 0xFFFFFF8000000007)

    def types(self, headers: Words) -> Words:
        """Record types of header words."""
        return self.first_halves(headers)

    def miscs(self, headers: Words) -> Words:
        """`misc` of header words."""
        return headers >> np.uint64(32 if self.little else 16) & np.uint64(0xFFFF)

    def sizes(self, headers: Words) -> Words:
        """Record sizes in bytes of header words."""
        if self.little:
            return headers >> np.uint64(48)
        return headers & np.uint64(0xFFFF)

    def steps(self, headers: Words) -> NDArray[np.int64]:
        """How many words on the next record starts; a size that is no multiple of 8 is cut off."""
        if self.little:
            return (headers >> np.uint64(51)).view(np.int64)
        return (headers >> np.uint64(3) & np.uint64(0x1FFF)).view(np.int64)

    def type_and_size(self, header: int) -> tuple[int, int]:
        """The same two of a single header word."""
        if self.little:
            return header & 0xFFFFFFFF, header >> 48
        return header >> 32, header & 0xFFFF

    def unpack(self, form: str, data: bytes | memoryview, at: int = 0) -> tuple[int, ...]:
        """struct.unpack_from in this order; InputError where the data ends early."""
        try:
            return struct.unpack_from(self.prefix + form, data, at)
        except struct.error as error:
            raise InputError(f"a record or section ends early ({error})") from error


@dataclass(frozen=True, slots=True)
class Attr:
    """One event as it was opened (`struct perf_event_attr`), and where its samples keep what."""

    type: int
    config: int
    sample_period: int  # events between samples, or samples per second if `frequency`
    frequency: bool
    precise_ip: int  # 0: the address may be off by any skid; 3: exact
    sample_type: Field
    read_format: ReadFormat
    sample_id_all: bool
    exclude_kernel: bool

    def offset(self, field: Field) -> int | None:
        """Word index of a fixed field in a sample (the header is word 0), None if absent."""
        if not self.sample_type & field:
            return None
        return 1 + sum(1 for f in FIXED_ORDER[: FIXED_ORDER.index(field)] if self.sample_type & f)

    @property
    def constant_period(self) -> int:
        """What each sample stands for if it does not say so itself."""
        return 1 if self.frequency else self.sample_period

    @property
    def variable_offset(self) -> int:
        """Word index of what follows the fixed fields: READ or CALLCHAIN."""
        return 1 + sum(1 for f in FIXED_ORDER if self.sample_type & f)

    def trailer_offset(self, field: Field) -> int | None:
        """Words from the *end* of another record at which its trailer keeps `field`."""
        if not self.sample_id_all or not self.sample_type & field:
            return None
        return sum(1 for f in TRAILER_ORDER[TRAILER_ORDER.index(field) :] if self.sample_type & f)

    @property
    def trailer_bytes(self) -> int:
        """Length of the trailer of every record that is no sample."""
        if not self.sample_id_all:
            return 0
        return 8 * sum(1 for f in TRAILER_ORDER if self.sample_type & f)


ATTR_MIN_SIZE = 64  # PERF_ATTR_SIZE_VER0
FLAG_EXCLUDE_KERNEL = 1 << 5
FLAG_FREQUENCY = 1 << 10
FLAG_SAMPLE_ID_ALL = 1 << 18


def parse_attr(data: bytes | memoryview, order: Order) -> Attr:
    """Decode a perf_event_attr of any size from 64 bytes up."""
    kind, size, config, period, sample_type, read_format, flags = order.unpack("IIQQQQQ", data)
    if size < ATTR_MIN_SIZE:
        raise InputError(f"an event attribute claims {size} bytes, the least is {ATTR_MIN_SIZE}")
    if not order.little:  # bit fields are allotted from the other end
        flags = int(f"{flags:064b}"[::-1], 2)
    return Attr(
        type=kind,
        config=config,
        sample_period=period,
        frequency=bool(flags & FLAG_FREQUENCY),
        precise_ip=(flags >> 15) & 3,
        sample_type=Field(sample_type),
        read_format=ReadFormat(read_format),
        sample_id_all=bool(flags & FLAG_SAMPLE_ID_ALL),
        exclude_kernel=bool(flags & FLAG_EXCLUDE_KERNEL),
    )
