from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.environment import Cache, Virtualization, read_machine

CPU = "sys/devices/system/cpu"
CPUINFO = """processor\t: 0
model name\t: Some CPU @ 3.00GHz
flags\t\t: fpu sse2 avx2{more}

processor\t: 1
model name\t: Some CPU @ 3.00GHz
flags\t\t: fpu sse2 avx2{more}
"""
BARE_METAL = {
    "proc/cpuinfo": CPUINFO.format(more=""),
    "proc/meminfo": "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n",
    "proc/sys/kernel/osrelease": "6.1.0-18-amd64",
    "proc/sys/kernel/perf_event_paranoid": "-1",
    "proc/sys/kernel/randomize_va_space": "2",
    "proc/loadavg": "0.52 0.58 0.59 1/389 12345",
    "proc/self/status": "Name:\tx\nSeccomp:\t0\n",
    "proc/1/cgroup": "0::/init.scope",
    "sys/class/dmi/id/sys_vendor": "Dell Inc.",
    "sys/class/dmi/id/product_name": "Precision 3660",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    f"{CPU}/smt/active": "1",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave",
    f"{CPU}/intel_pstate/no_turbo": "0",
    f"{CPU}/cpu0/cache/index0/level": "1",
    f"{CPU}/cpu0/cache/index0/type": "Data",
    f"{CPU}/cpu0/cache/index0/size": "48K",
    f"{CPU}/cpu0/cache/index0/ways_of_associativity": "12",
    f"{CPU}/cpu0/cache/index0/coherency_line_size": "64",
    f"{CPU}/cpu0/cache/index2/level": "2",
    f"{CPU}/cpu0/cache/index2/type": "Unified",
    f"{CPU}/cpu0/cache/index2/size": "1M",
    f"{CPU}/cpu0/cache/index2/ways_of_associativity": "16",
    f"{CPU}/cpu0/cache/index2/coherency_line_size": "64",
}
WSL2 = {
    "proc/cpuinfo": CPUINFO.format(more=" hypervisor"),
    "proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2",
    "proc/sys/kernel/perf_event_paranoid": "2",
}


def machine_root(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text + "\n")
    return path


def test_bare_metal(tmp_path: Path) -> None:
    machine = read_machine(machine_root(tmp_path, BARE_METAL))
    assert machine.cpu_model == "Some CPU @ 3.00GHz"
    assert machine.cores == 2
    assert "avx2" in machine.cpu_flags
    assert machine.virtualization is Virtualization.NONE
    assert (machine.hypervisor, machine.container) == ("", "")
    assert (machine.smt, machine.turbo, machine.governor) == (True, True, "powersave")
    assert (machine.aslr, machine.perf_event_paranoid, machine.seccomp) == (2, -1, False)
    assert machine.load_1min == 0.52
    assert machine.memory_available_bytes == 8000000 << 10
    assert machine.transparent_huge_pages == "madvise"
    assert machine.cache(1, "Data") == Cache(1, "Data", 48 << 10, 12, 64)
    assert machine.cache(2, "Data") == Cache(2, "Unified", 1 << 20, 16, 64)
    assert machine.cache(3, "Data") is None
    assert not machine.slow_clock


def test_a_machine_that_says_nothing_is_unknown_and_not_zero(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.cpu_model == "unknown"
    unknown = (machine.smt, machine.turbo, machine.governor, machine.aslr, machine.load_1min)
    assert unknown == (None,) * 5
    assert machine.memory_bytes is None
    assert machine.seccomp is None
    assert machine.caches == ()


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("5.15.153.1-microsoft-standard-WSL2", Virtualization.WSL2),
        ("5.10.102.1-Microsoft-Standard-wsl2+", Virtualization.WSL2),
        ("6.6.0-my-own-WSL-kernel", Virtualization.WSL2),
        ("4.4.0-19041-Microsoft", Virtualization.WSL1),
        ("4.19.104-microsoft-standard", Virtualization.WSL2),
    ],
)
def test_wsl_by_its_kernel_s_name(tmp_path: Path, release: str, expected: Virtualization) -> None:
    root = machine_root(tmp_path, WSL2 | {"proc/sys/kernel/osrelease": release})
    machine = read_machine(root)
    assert machine.virtualization is expected
    assert machine.hypervisor == "Hyper-V"


@pytest.mark.parametrize(
    ("files", "hypervisor"),
    [
        ({"sys/class/dmi/id/sys_vendor": "QEMU"}, "KVM"),
        ({"sys/class/dmi/id/sys_vendor": "VMware, Inc."}, "VMware"),
        ({"sys/hypervisor/type": "xen"}, "Xen"),
        ({"sys/class/dmi/id/sys_vendor": "Microsoft Corporation"}, "Hyper-V"),
        ({}, ""),
    ],
)
def test_virtual_machines(tmp_path: Path, files: dict[str, str], hypervisor: str) -> None:
    guest = {"proc/cpuinfo": CPUINFO.format(more=" hypervisor")}
    machine = read_machine(machine_root(tmp_path, guest | files))
    assert machine.virtualization is Virtualization.VM
    assert machine.hypervisor == hypervisor


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"proc/1/cgroup": "12:cpu:/kubepods/besteffort/pod1"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/"}, ""),
    ],
)
def test_containers(tmp_path: Path, files: dict[str, str], container: str) -> None:
    assert read_machine(machine_root(tmp_path, BARE_METAL | files)).container == container


@pytest.mark.parametrize(
    ("files", "turbo"),
    [
        ({f"{CPU}/intel_pstate/no_turbo": "1"}, False),
        ({f"{CPU}/cpufreq/boost": "1"}, True),
        ({f"{CPU}/cpufreq/boost": "0"}, False),
    ],
)
def test_turbo_of_either_maker(tmp_path: Path, files: dict[str, str], *, turbo: bool) -> None:
    assert read_machine(machine_root(tmp_path, files)).turbo is turbo


def test_slow_clock(tmp_path: Path) -> None:
    name = "sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert read_machine(machine_root(tmp_path, {name: "hpet"})).slow_clock


@given(data=st.dictionaries(st.sampled_from(sorted(BARE_METAL)), st.binary(max_size=60)))
def test_any_contents_are_survived(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, bytes]
) -> None:
    root = machine_root(tmp_path_factory.mktemp("machine"), BARE_METAL)
    for name, contents in data.items():
        (root / name).write_bytes(contents)
    assert read_machine(root).cores >= 1


def test_this_machine() -> None:
    machine = read_machine()
    assert machine.memory_bytes
    assert machine.cores >= 1
    assert machine.page_bytes >= 4096
