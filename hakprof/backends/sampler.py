"""Samples where there is no perf: perf_event_open(2) by ourselves, written as a perf.data file.

    python -m hakprof.backends.sampler OUTPUT FREQUENCY KERNEL CONTROL -- PROGRAM ARGS

`Sampler` is the backend; the program below is the wrapper of what is measured, as `perf record` is:
it opens the CPU clock on its child for each processor and copies the kernel's buffers to the file.
KERNEL is 1 to sample it too; CONTROL is `CTLFD,ACKFD` of contract 1, or `-`.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import platform
import select
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from hakprof.backends import launch, perf_event
from hakprof.backends.perf_record import TIME_EVENT, sees_kernel
from hakprof.backends.perf_tool import control
from hakprof.backends.recorder import FREQUENCY
from hakprof.environment import Machine, read_machine
from hakprof.model import Availability, Job, Kind, Sample
from hakprof.process import run

ATTR_BYTES = 112
TYPE_SOFTWARE, CPU_CLOCK, DUMMY = 1, 0, 9
IP, TID, TIME, PERIOD = 1, 2, 4, 256
INHERIT, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR, MMAP, COMM = 1 << 1, 1 << 5, 1 << 6, 1 << 8, 1 << 9
DISABLED, ENABLE_ON_EXEC, TASK, SAMPLE_ID_ALL = 1 << 0, 1 << 12, 1 << 13, 1 << 18
MMAP2, COMM_EXEC, BUILD_ID = 1 << 23, 1 << 24, 1 << 34
IOC_ENABLE, IOC_DISABLE, IOC_SET_OUTPUT = 0x2400, 0x2401, 0x2405
BUFFER_PAGES = 128
HEAD_AT, TAIL_AT = 1024, 1032
POLL_MS = 50
NS_PER_S = 10**9
NO_GROUP, CLOSE_ON_EXEC = -1, 1 << 3
FEATURES = {"hostname": 3, "release": 4, "version": 5, "arch": 6, "command": 11, "events": 12}


class Sampler:
    """The CPU clock, without perf."""

    name = "sampler"
    kind = Kind.SAMPLED
    needs_roi = False

    def __init__(
        self,
        attempt: Callable[[], perf_event.Attempt] = perf_event.attempt,
        machine: Callable[[], Machine] = read_machine,
    ) -> None:
        self._attempt, self._machine = attempt, machine

    def probe(self) -> Availability:
        """Whether the kernel lets us sample."""
        label = f"own sampler, {TIME_EVENT}"
        tried = self._attempt()
        if tried.software:
            why, advice = perf_event.why_not(tried, self._machine())
            return Availability(usable=False, label=label, why=why, advice=advice)
        return Availability(usable=True, label=label)

    def record(self, job: Job, path: Path) -> Sample:
        """One process under the program below."""
        with control(active=job.target.is_benchmark) as (options, env, descriptors):
            ends = options[-1].removeprefix("fd:") if options else "-"
            kernel = "1" if sees_kernel(self._machine()) else "0"
            wrapper = (sys.executable, "-m", __name__, str(path), job.options[FREQUENCY], kernel)
            outcome = run(
                launch.command(job, wrapper=(*wrapper, ends, "--"), env=env, pass_fds=descriptors)
            )
        return launch.sample(job, self.name, outcome, ())


@dataclass(slots=True)
class Buffer:
    """One processor's sampling event, and the memory the kernel writes all records to.

    An event that is off tells nothing of mappings either, so a second one, which counts nothing,
    is always on and writes them into the same memory.
    """

    descriptor: int
    tracker: int
    memory: mmap.mmap

    def drain(self, file: BinaryIO) -> int:
        """Copy the new records to the file; how many bytes that was."""
        head, tail = struct.unpack_from("=QQ", self.memory, HEAD_AT)
        size = BUFFER_PAGES * mmap.PAGESIZE
        start, length = tail % size, head - tail
        first = min(length, size - start)
        data = self.memory[mmap.PAGESIZE + start : mmap.PAGESIZE + start + first]
        file.write(data + self.memory[mmap.PAGESIZE : mmap.PAGESIZE + length - first])
        struct.pack_into("=Q", self.memory, TAIL_AT, head)
        return int(length)


def main(argv: Sequence[str]) -> int:
    """Run the program, sampled, and end as it ended."""
    output, frequency, kernel, ends, _, *program = argv
    orders, answers = (int(end) for end in ends.split(",")) if ends != "-" else (-1, -1)
    attr = _clock(int(frequency), kernel=kernel == "1", at_once=orders < 0)
    child, start = _paused(program)
    try:
        buffers = _open(attr, child)
    except OSError as error:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.stderr.write(f"sampler: perf_event_open: {error.strerror}\n")
        return 1
    with Path(output).open("wb") as file:
        head = _header(attr, 0)
        file.write(head)
        os.close(start)
        written, status = _follow(child, buffers, file, orders, answers)
        file.write(_features(attr, program, len(head) + written))
        file.seek(0)
        file.write(_header(attr, written))
    return os.waitstatus_to_exitcode(status) % 256


def _paused(program: Sequence[str]) -> tuple[int, int]:
    """A child that executes the program as soon as the returned descriptor is closed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        with contextlib.suppress(OSError):
            os.execvp(program[0], list(program))  # noqa: S606 - it is what we were asked to run
        os._exit(127)
    os.close(reader)
    return child, writer


def _follow(
    child: int, buffers: Sequence[Buffer], file: BinaryIO, orders: int, answers: int
) -> tuple[int, int]:
    """Copy records and obey orders until the child ends: (bytes written, its wait status)."""
    poll = select.poll()
    ended = os.pidfd_open(child)
    poll.register(ended, select.POLLIN)
    for buffer in buffers:
        poll.register(buffer.descriptor, select.POLLIN)
    if orders >= 0:
        poll.register(orders, select.POLLIN)
    written = 0
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(POLL_MS)}
        if orders in ready:
            _obey(os.read(orders, 64), buffers, answers)
        written += sum(buffer.drain(file) for buffer in buffers)
        if ended in ready:
            _, status = os.waitpid(child, 0)
            return written + sum(buffer.drain(file) for buffer in buffers), status


def _obey(order: bytes, buffers: Sequence[Buffer], answers: int) -> None:
    request = IOC_ENABLE if order.startswith(b"enable") else IOC_DISABLE
    for buffer in buffers:
        fcntl.ioctl(buffer.descriptor, request, 0)
    os.write(answers, b"ack\n")


def _clock(frequency: int, *, kernel: bool, at_once: bool) -> bytes:
    """The CPU clock of a process and its children, every 1/frequency s."""
    flags = 0 if kernel else EXCLUDE_KERNEL
    flags |= ENABLE_ON_EXEC if at_once else 0
    return _attr(CPU_CLOCK, NS_PER_S // frequency, flags)


def _tracker() -> bytes:
    """Counts nothing, but has the kernel say who is mapped, named and forked."""
    flags = EXCLUDE_KERNEL | MMAP | COMM | TASK | MMAP2 | COMM_EXEC | BUILD_ID | ENABLE_ON_EXEC
    return _attr(DUMMY, 0, flags)


def _attr(config: int, period: int, flags: int) -> bytes:
    """A perf_event_attr. All have the same fields in samples and trailers."""
    flags |= DISABLED | INHERIT | EXCLUDE_HYPERVISOR | SAMPLE_ID_ALL
    fields = (TYPE_SOFTWARE, ATTR_BYTES, config, period, IP | TID | TIME | PERIOD, 0, flags)
    return struct.pack("=IIQQQQQ", *fields).ljust(ATTR_BYTES, b"\0")


def _open(attr: bytes, child: int) -> list[Buffer]:
    """Both events for the child on each processor. OSError if the kernel refuses."""
    buffers = []
    for cpu in range(os.cpu_count() or 1):
        clock, tracker = _open_event(attr, child, cpu), _open_event(_tracker(), child, cpu)
        memory = mmap.mmap(clock, (1 + BUFFER_PAGES) * mmap.PAGESIZE)
        fcntl.ioctl(tracker, IOC_SET_OUTPUT, clock)
        buffers.append(Buffer(clock, tracker, memory))
    return buffers


def _open_event(attr: bytes, child: int, cpu: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    raw = ctypes.create_string_buffer(attr, len(attr))
    arguments = map(ctypes.c_long, (child, cpu, NO_GROUP, CLOSE_ON_EXEC))
    number = perf_event.SYSCALL[platform.machine()]
    descriptor: int = libc.syscall(ctypes.c_long(number), raw, *arguments)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return descriptor


def _header(attr: bytes, data_bytes: int) -> bytes:
    """The head of the file: one event, whose attribute follows, then the records."""
    entry = ATTR_BYTES + 16
    data_at = 104 + entry
    bits = sum(1 << feature for feature in FEATURES.values())
    fields = (104, entry, 104, entry, data_at, data_bytes, 0, 0, bits, 0, 0, 0)
    return b"PERFILE2" + struct.pack("=12Q", *fields) + attr + struct.pack("=QQ", data_at, 0)


def _features(attr: bytes, program: Sequence[str], at: int) -> bytes:
    """The table of sections and the sections, which start at `at` of the file."""
    host = os.uname()
    sections = {
        "hostname": _string(host.nodename),
        "release": _string(host.release),
        "version": _string(f"hakprof {version('hakprof')}"),
        "arch": _string(host.machine),
        "command": struct.pack("=I", len(program)) + b"".join(map(_string, program)),
        "events": struct.pack("=II", 1, ATTR_BYTES) + attr + bytes(4) + _string(TIME_EVENT),
    }
    table = body = b""
    for name in sorted(sections, key=FEATURES.__getitem__):
        place = at + 16 * len(sections) + len(body)
        table += struct.pack("=QQ", place, len(sections[name]))
        body += sections[name]
    return table + body


def _string(text: str) -> bytes:
    raw = text.encode() + b"\0"
    raw += bytes(-len(raw) % 8)
    return struct.pack("=I", len(raw)) + raw


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
