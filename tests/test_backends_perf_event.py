import errno
from dataclasses import replace

import pytest

from hakprof.backends.perf_event import Attempt, attempt, why_not
from hakprof.environment import Machine, Virtualization, read_machine

BARE = replace(
    read_machine(),
    virtualization=Virtualization.NONE,
    hypervisor="",
    container="",
    perf_event_paranoid=3,
)
VM = replace(BARE, virtualization=Virtualization.VM, hypervisor="KVM")
WSL2 = replace(BARE, virtualization=Virtualization.WSL2, hypervisor="Hyper-V")
WSL1 = replace(BARE, virtualization=Virtualization.WSL1)
DOCKER = replace(BARE, container="docker")


@pytest.mark.parametrize(
    ("tried", "machine", "why", "advice"),
    [
        (Attempt(errno.ENOENT, 0), BARE, "no hardware counters in this processor", "dmesg"),
        (Attempt(errno.EOPNOTSUPP, 0), VM, "virtual machine (KVM)", "pmu=on"),
        (Attempt(errno.ENOENT, 0), replace(VM, hypervisor=""), "unknown hypervisor", "host"),
        (Attempt(errno.ENOENT, 0), WSL2, "WSL2 shows no hardware counters", "wsl --update"),
        (Attempt(errno.ENOSYS, errno.ENOSYS), WSL1, "WSL1 has no", "WSL2"),
        (Attempt(errno.EACCES, errno.EACCES), BARE, "perf_event_paranoid is 3", "sysctl"),
        (Attempt(errno.EPERM, errno.EPERM), DOCKER, "seccomp filter (docker)", "seccomp="),
        (Attempt(errno.ENOSYS, errno.ENOSYS), DOCKER, "seccomp filter (docker)", "PERFMON"),
        (Attempt(errno.EPERM, errno.EPERM), BARE, "seccomp filter (sandbox)", "PERFMON"),
        (Attempt(errno.EMFILE, 0), BARE, "Too many open files", "dmesg"),
    ],
)
def test_reasons_are_told_apart(tried: Attempt, machine: Machine, why: str, advice: str) -> None:
    said, do = why_not(tried, machine)
    assert why in said
    assert advice in do


def test_counters_that_open_need_no_words() -> None:
    assert why_not(Attempt(0, 0), VM) == ("", "")


def test_this_kernel_answers() -> None:
    tried = attempt()
    why, advice = why_not(tried, read_machine())
    assert bool(why) is bool(advice) is bool(tried.hardware)
