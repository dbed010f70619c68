"""What the stepper wrote: every instruction of the region of interest, in order (HAKSTEP_TRACE).

Layout (core/tools/step.c): "HAKSTEP1", a length of 64 bits, so many bytes of /proc/PID/maps, then
the address of each instruction as 64 bits, in the order of the machine that wrote it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hakprof.errors import InputError
from hakprof.model import Kind
from hakprof.profile import Image, ImageKind, Ints, Profile

MAGIC = b"HAKSTEP1"
HEAD_BYTES = 16
MAX_MAPS_BYTES = 16 << 20
MAX_STEPS = 1 << 27
MAP_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ..(.). ([0-9a-f]+) \S+ \d+ *(.*)")


@dataclass(frozen=True, slots=True)
class StepTrace:
    """The distinct addresses as a profile, and the order in which they were executed."""

    profile: Profile  # weight: how often each was executed
    steps: Ints  # rows of the profile


def read_trace(path: Path) -> StepTrace:
    """Read one trace. Raises InputError: no trace, cut off, or empty."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if len(head) < HEAD_BYTES or not head.startswith(MAGIC):
                raise InputError(f"{path}: not a trace of the stepper")
            length = int.from_bytes(head[8:], "little")
            steps = size - HEAD_BYTES - length
            if length > MAX_MAPS_BYTES or steps < 0 or steps % 8:
                raise InputError(f"{path}: truncated", advice="record again")
            if steps > 8 * MAX_STEPS:
                raise InputError(f"{path}: more than {MAX_STEPS} steps")
            maps = file.read(length).decode("utf-8", "backslashreplace")
            addresses = np.frombuffer(file.read(steps), "<u8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    if not addresses.size:
        raise InputError(f"{path}: no steps", advice="the region of interest was never entered")
    return _trace(maps, addresses.astype(np.uint64, copy=False))


def _trace(maps: str, addresses: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> StepTrace:
    distinct = np.unique(addresses)
    steps = np.searchsorted(distinct, addresses).astype(np.int64)
    image = np.zeros(distinct.size, np.int64)
    offset = distinct.copy()
    images: dict[Image, int] = {Image(ImageKind.UNKNOWN, "[unknown]"): 0}
    for match in MAP_LINE.finditer(maps):
        start, end, file_offset = int(match[1], 16), int(match[2], 16), int(match[4], 16)
        inside = (distinct >= start) & (distinct < end)
        if match[3] != "x" or not inside.any():
            continue
        found = _image(match[5])
        image[inside] = images.setdefault(found, len(images))
        if found.kind is ImageKind.FILE:
            offset[inside] += np.uint64((file_offset - start) % 2**64)
        elif found.kind is ImageKind.VDSO:
            offset[inside] -= np.uint64(start)
    weight = np.bincount(steps, minlength=distinct.size).astype(np.int64)
    profile = Profile(
        kind=Kind.EXACT,
        event="instructions",
        unit="instructions",
        source="single steps, native CPU",
        images=tuple(images),
        image=image,
        offset=offset,
        weight=weight.astype(np.float64),
        samples=weight,
    )
    return StepTrace(profile, steps)


def _image(path: str) -> Image:
    if path == "[vdso]":
        return Image(ImageKind.VDSO, path)
    if path.startswith("/"):
        return Image(ImageKind.FILE, path)
    return Image(ImageKind.UNKNOWN, path or "[unknown]")
