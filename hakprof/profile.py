"""Where time or instructions went: the one form that every source of hotspots is turned into.

A profile is a table of distinct code addresses with what was seen at each, and optionally the call
stacks they were seen in. It names no functions: `symbols` does that, once per address.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hakprof.model import Kind

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Addresses = NDArray[np.uint64]
Key = TypeVar("Key", bound=np.generic)


def distinct(keys: NDArray[Key]) -> NDArray[Key]:
    """The distinct keys, ascending. np.unique imports numpy.ma for it: several milliseconds."""
    ordered = np.sort(keys)
    fresh = np.ones(ordered.size, np.bool_)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


class ImageKind(StrEnum):
    """What an address lies in, and so who can name it."""

    FILE = "file"  # an ELF file; offsets are file offsets
    KERNEL = "kernel"  # offsets are absolute addresses
    VDSO = "vdso"  # offsets are from the start of the mapping
    JIT = "jit"  # anonymous code; offsets are absolute addresses, named by /tmp/perf-PID.map
    UNKNOWN = "unknown"  # no mapping covers it


@dataclass(frozen=True, slots=True)
class Image:
    """Something code was loaded from."""

    kind: ImageKind
    path: str
    build_id: str = ""  # hexadecimal, "" if nobody recorded it
    pid: int = 0  # of JIT code


@dataclass(frozen=True, slots=True)
class Stacks:
    """Distinct call stacks. Frame j of stack i is row frames[starts[i] + j], leaf first."""

    frames: Ints  # rows of the address table
    starts: Ints  # one more than there are stacks
    weight: Floats
    process: Ints  # index into `processes`
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Distinct addresses and what was seen at each. Columns are as long as the table."""

    kind: Kind  # SAMPLED or EXACT
    event: str  # "cpu-clock", "instructions"
    unit: str  # of the weight: "ns", "events", "instructions"
    source: str  # the tool and its version
    images: tuple[Image, ...]
    image: Ints  # index into `images`
    offset: Addresses  # see ImageKind; of a caller: the last byte of its call
    weight: Floats  # seen at the address itself
    samples: Ints  # how many samples that was; with exact counts equal to the weight
    stacks: Stacks | None = None
    lost: int = 0  # samples that the kernel could not deliver
    remark: str = ""  # what to know of its stacks, in words

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self.weight.sum())
