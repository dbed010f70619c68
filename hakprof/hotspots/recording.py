"""What `hakprof record` leaves behind: a folder of files and a `recording.json` that explains them.

A single file of perf, callgrind or the stepper is read as a recording of its own.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hakprof import records
from hakprof.errors import InputError, StoreError, UsageError, reason
from hakprof.hotspots import callgrind_costs, step_trace
from hakprof.model import Kind
from hakprof.perfdata.reader import machine_of, read
from hakprof.perfdata.resolve import resolve
from hakprof.profile import Image, ImageKind, Profile
from hakprof.symbols.elf_image import open_image

FILE = "recording.json"
VERSION = 1
PERF, SAMPLER, CALLGRIND, STEPPER = "perf", "sampler", "callgrind", "stepper"


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of a recording."""

    file: str
    source: str  # the recorder's name
    kind: Kind
    label: str  # "perf 6.1, cpu-clock"
    ops: int = 0  # operations in what was recorded; 0 if nobody knows


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded. Everything but the pieces is empty for a file from elsewhere."""

    folder: Path
    pieces: tuple[Piece, ...]
    run: int = 0
    started: str = ""
    target: str = ""
    allocator: str = ""
    library: str = ""
    proof: str = ""  # "" is proven; else what is not, in words
    machine: str = ""
    build_ids: Mapping[str, str] = field(default_factory=dict)  # path -> id, when it was recorded
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Source:
    """All profiles that one tool made of one recording."""

    name: str
    label: str
    profiles: tuple[Profile, ...]
    ops: int  # of all of them together; 0 if unknown

    @property
    def kind(self) -> Kind:
        """How its figures were got."""
        return self.profiles[0].kind

    @property
    def samples(self) -> int:
        """Samples, or exact counts, in all of it."""
        return sum(int(profile.samples.sum()) for profile in self.profiles)

    @property
    def lost(self) -> int:
        """Samples that the kernel could not deliver."""
        return sum(profile.lost for profile in self.profiles)


def save(recording: Recording) -> None:
    """Write `recording.json` into the folder. StoreError if that fails."""
    table = records.to_json(replace(recording, folder=Path()))
    try:
        (recording.folder / FILE).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {recording.folder / FILE}: {error.strerror}") from error


def load(path: Path) -> Recording:
    """A recording's folder, or a file that one of the tools wrote. InputError if it is neither."""
    if path.is_dir():
        try:
            table = json.loads((path / FILE).read_text(encoding="utf-8"))
            found = records.from_json(Recording, table, str(path / FILE))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is no recording ({FILE}: {reason(error)})",
                advice="hakprof record makes one",
            ) from error
        if found.version != VERSION:
            raise InputError(f"{path} is a recording of version {found.version}, not {VERSION}")
        if any(Path(piece.file).name != piece.file for piece in found.pieces):
            raise InputError(f"{path / FILE} names files outside of its folder")
        return replace(found, folder=path)
    source = tool_of(path)
    kind = Kind.SAMPLED if source == PERF else Kind.EXACT
    machine = machine_of(path) if source == PERF else ""
    return Recording(path.parent, (Piece(path.name, source, kind, ""),), machine=machine)


def tool_of(path: Path) -> str:
    """Which tool wrote a file, by how it begins. InputError if none did."""
    if path.is_fifo() or path.is_socket():
        raise InputError(f"{path} is a pipe", advice="write it into a file first")
    try:
        with path.open("rb") as file:
            head = file.read(len(callgrind_costs.MAGIC))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    if head.startswith((b"PERF", b"2ELIF")):
        return PERF
    if head.startswith(step_trace.MAGIC):
        return STEPPER
    if head == callgrind_costs.MAGIC.encode():
        return CALLGRIND
    raise InputError(
        f"{path} is no file of perf record, callgrind or the stepper",
        advice="hakprof record makes one",
    )


def sources(recording: Recording, only: str = "") -> list[Source]:
    """Read all pieces, or those of one source. UsageError if there is no such source."""
    wanted = [p for p in recording.pieces if only in {"", p.source}]
    if not wanted:
        have = ", ".join(dict.fromkeys(p.source for p in recording.pieces))
        raise UsageError(f"the recording has nothing of {only}", advice=f"it has: {have}")
    by_name: dict[str, list[Piece]] = {}
    for piece in wanted:
        by_name.setdefault(piece.source, []).append(piece)
    return [_source(recording, name, pieces) for name, pieces in by_name.items()]


def trace_of(recording: Recording) -> step_trace.StepTrace:
    """The stepper's trace of a recording. UsageError if it has none."""
    for piece in recording.pieces:
        if piece.source == STEPPER:
            trace = step_trace.read_trace(recording.folder / piece.file)
            return replace(trace, profile=_identified(trace.profile, recording.build_ids))
    raise UsageError(
        "the recording has no trace of single steps", advice="hakprof record --source stepper"
    )


def _source(recording: Recording, name: str, pieces: Sequence[Piece]) -> Source:
    profiles = [
        _identified(_profile(recording.folder / piece.file, name), recording.build_ids)
        for piece in pieces
    ]
    label = pieces[0].label or f"{profiles[0].source}, {profiles[0].event}"
    return Source(name, label, tuple(profiles), sum(piece.ops for piece in pieces))


def _profile(path: Path, source: str) -> Profile:
    if source == CALLGRIND:
        return callgrind_costs.read_callgrind(path)
    if source == STEPPER:
        return step_trace.read_trace(path).profile
    return resolve(read(path))


def _identified(profile: Profile, build_ids: Mapping[str, str]) -> Profile:
    """The images with the build ids of when they were recorded, where the tool wrote none."""
    images = tuple(
        replace(image, build_id=build_ids.get(image.path, "")) if not image.build_id else image
        for image in profile.images
    )
    return replace(profile, images=images)


def build_ids_of(images: Sequence[Image]) -> dict[str, str]:
    """The build ids that the files have now: to be called right after they were recorded."""
    found = {}
    for image in images:
        if image.kind is ImageKind.FILE:
            try:
                found[image.path] = open_image(Path(image.path)).build_id
            except InputError:
                continue  # deleted in the meantime; it will be shown as missing
    return {path: build_id for path, build_id in found.items() if build_id}


def this_machine() -> str:
    """`host x86_64`."""
    return f"{platform.node()} {platform.machine()}"
