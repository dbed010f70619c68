"""Asks the kernel itself whether hardware counters can be had, and says in words why not.

perf prints `<not supported>` for very different reasons; the error numbers of perf_event_open(2)
tell them apart.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from hakprof.environment import Machine, Virtualization

SYSCALL = {"x86_64": 298, "aarch64": 241}
TYPE_HARDWARE, TYPE_SOFTWARE = 0, 1
INSTRUCTIONS, TASK_CLOCK = 1, 1
EXCLUDE_KERNEL_AND_HYPERVISOR = 1 << 5 | 1 << 6


@dataclass(frozen=True, slots=True)
class Attempt:
    """Error numbers of opening one hardware and one software counter in user mode; 0: opened."""

    hardware: int
    software: int


def attempt() -> Attempt:
    """Open and close a counter of either kind, on ourselves."""
    return Attempt(_open(TYPE_HARDWARE, INSTRUCTIONS), _open(TYPE_SOFTWARE, TASK_CLOCK))


def _open(kind: int, config: int) -> int:
    number = SYSCALL.get(platform.machine())
    if number is None:
        return errno.ENOTSUP
    size = struct.calcsize("IIQQQQQIIQ")  # the first published size of perf_event_attr
    flags = EXCLUDE_KERNEL_AND_HYPERVISOR
    attr = ctypes.create_string_buffer(
        struct.pack("IIQQQQQIIQ", kind, size, config, 0, 0, 0, flags, 0, 0, 0), size
    )
    libc = ctypes.CDLL(None, use_errno=True)
    this_process, any_cpu, no_group, close_on_exec = 0, -1, -1, 1 << 3
    descriptor = libc.syscall(
        ctypes.c_long(number),
        attr,
        *map(ctypes.c_long, (this_process, any_cpu, no_group, close_on_exec)),
    )
    if descriptor < 0:
        return ctypes.get_errno()
    os.close(descriptor)
    return 0


def why_not(tried: Attempt, machine: Machine) -> tuple[str, str]:
    """(why there are no hardware counters, what to do about it); both "" if there are."""
    if not tried.hardware:
        return "", ""
    if machine.virtualization is Virtualization.WSL1:
        return "WSL1 has no performance counters", "move to WSL2: wsl --set-version DISTRO 2"
    if tried.hardware == errno.EACCES:
        level = machine.perf_event_paranoid
        return (
            f"the kernel forbids counting (kernel.perf_event_paranoid is {level})",
            "sudo sysctl kernel.perf_event_paranoid=2 allows counting in user mode",
        )
    if tried.hardware in {errno.EPERM, errno.ENOSYS} and tried.software == tried.hardware:
        where = f"a seccomp filter ({machine.container or 'sandbox'})"
        return (
            f"{where} blocks perf_event_open with {errno.errorcode[tried.hardware]}",
            "docker, podman: run with --security-opt seccomp=unconfined or --cap-add PERFMON",
        )
    if tried.hardware in {errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV} and not tried.software:
        return _no_counters(machine)
    return (
        f"perf_event_open fails: {os.strerror(tried.hardware)}",
        "look for messages of the kernel: dmesg | grep -i perf",
    )


def _no_counters(machine: Machine) -> tuple[str, str]:
    """The kernel knows how to count, but the machine shows it no counters."""
    if machine.virtualization is Virtualization.WSL2:
        return (
            "WSL2 shows no hardware counters: the Windows host does not hand them on",
            "wsl --update and Windows 11 on a processor with counters; or count by qemu, callgrind",
        )
    if machine.virtualization is Virtualization.VM:
        name = machine.hypervisor
        return (
            f"the virtual machine ({name or 'unknown hypervisor'}) has no hardware counters",
            {
                "KVM": "let the host hand them on: qemu -cpu host,pmu=on",
                "VMware": "let the host hand them on: vpmc.enable = TRUE",
                "EC2": "take an instance of full size or a metal one",
            }.get(name, "let the host hand them on, or count by qemu, callgrind or stepping"),
        )
    return (
        "the kernel finds no hardware counters in this processor",
        "look for messages of the kernel: dmesg | grep -i pmu",
    )
