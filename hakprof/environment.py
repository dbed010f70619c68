"""What machine this is, as far as it matters to a measurement. Read from /proc, /sys and /etc.

Everything is read below a `root`, so that tests can show a machine that they do not run on. What
a machine does not tell is None, never a guess.
"""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

HOST_ROOT = Path("/")


class Virtualization(StrEnum):
    """What lies between us and the processor."""

    NONE = "none"
    VM = "virtual machine"
    WSL1 = "WSL1"
    WSL2 = "WSL2"


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache of the first core."""

    level: int
    kind: str  # "Data", "Instruction", "Unified"
    size_bytes: int
    ways: int
    line_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts. None: this machine does not say."""

    cpu_model: str
    cpu_flags: frozenset[str]
    architecture: str
    cores: int
    smt: bool | None
    caches: tuple[Cache, ...]
    virtualization: Virtualization
    hypervisor: str  # "KVM", "Hyper-V", ...; "" if unknown
    container: str  # "docker", "podman", "kubernetes", "lxc"; "" if there is no sign of one
    governor: str | None
    turbo: bool | None
    aslr: int | None  # 2: full, 0: off
    perf_event_paranoid: int | None
    seccomp: bool | None  # this process runs under a seccomp filter
    load_1min: float | None
    memory_bytes: int | None
    memory_available_bytes: int | None
    page_bytes: int
    transparent_huge_pages: str | None  # "always", "madvise", "never"
    clock_source: str | None
    kernel: str
    libc: str

    @property
    def slow_clock(self) -> bool:
        """Reading the clock is a system call or traps: short times are not to be trusted."""
        fast = {None, "tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page"}
        return self.clock_source not in fast

    def cache(self, level: int, kind: str) -> Cache | None:
        """The cache of that level that holds that kind of line ("Data" or "Instruction")."""
        fits = (c for c in self.caches if c.level == level and c.kind in {kind, "Unified"})
        return next(fits, None)


def read_machine(root: Path = HOST_ROOT) -> Machine:
    """Look at the machine below `root`. Never fails: what cannot be read is unknown."""
    cpuinfo = _text(root, "proc/cpuinfo") or ""
    memory = _table(_text(root, "proc/meminfo") or "")
    kernel = _text(root, "proc/sys/kernel/osrelease") or os.uname().release
    flags = _field(cpuinfo, "flags") or _field(cpuinfo, "Features") or ""
    virtualization = _virtualization(root, kernel, flags)
    cpu = "sys/devices/system/cpu"
    return Machine(
        cpu_model=_field(cpuinfo, "model name") or _field(cpuinfo, "CPU part") or "unknown",
        cpu_flags=frozenset(flags.split()),
        architecture=os.uname().machine,
        cores=len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or os.cpu_count() or 1,
        smt=_flag(root, f"{cpu}/smt/active"),
        caches=_caches(root),
        virtualization=virtualization,
        hypervisor=_hypervisor(root) if virtualization is not Virtualization.NONE else "",
        container=_container(root),
        governor=_text(root, f"{cpu}/cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(root),
        aslr=_integer(root, "proc/sys/kernel/randomize_va_space"),
        perf_event_paranoid=_integer(root, "proc/sys/kernel/perf_event_paranoid"),
        seccomp=_seccomp(root),
        load_1min=_load(root),
        memory_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        transparent_huge_pages=_selected(root, "sys/kernel/mm/transparent_hugepage/enabled"),
        clock_source=_text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        kernel=kernel,
        libc=_libc(),
    )


def _text(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text(errors="replace").strip()
    except OSError:
        return None


def _integer(root: Path, name: str) -> int | None:
    text = _text(root, name)
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,9}", text) else None


def _flag(root: Path, name: str) -> bool | None:
    number = _integer(root, name)
    return None if number is None else number != 0


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{re.escape(name)}[ \t]*:[ \t]*(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def _table(meminfo: str) -> dict[str, int]:
    """Name -> bytes of the lines `Name:   123 kB`."""
    return {m[1]: int(m[2]) << 10 for m in re.finditer(r"(?m)^(\w+):\s+(\d+) kB$", meminfo)}


def _virtualization(root: Path, kernel: str, flags: str) -> Virtualization:
    if re.search("microsoft|wsl", kernel, re.IGNORECASE):
        # WSL1 is a kernel interface without a kernel: it calls itself 4.4 and knows no hypervisor.
        old = kernel.startswith(("3.", "4.4.")) and "wsl2" not in kernel.lower()
        return Virtualization.WSL1 if old else Virtualization.WSL2
    if "hypervisor" in flags.split() or _text(root, "sys/hypervisor/type"):
        return Virtualization.VM
    product = _text(root, "sys/class/dmi/id/product_name") or ""
    known = re.search("kvm|qemu|virtual|vmware|bochs|hvm domu", product, re.IGNORECASE)
    return Virtualization.VM if known else Virtualization.NONE


def _hypervisor(root: Path) -> str:
    """By the name that firmware or kernel give; cpuid itself is not readable from here."""
    said = " ".join(
        _text(root, name) or ""
        for name in (
            "sys/hypervisor/type",
            "sys/class/dmi/id/sys_vendor",
            "sys/class/dmi/id/product_name",
            "sys/devices/system/clocksource/clocksource0/available_clocksource",
            "proc/sys/kernel/osrelease",
        )
    )
    names = {
        "microsoft": "Hyper-V",
        "wsl": "Hyper-V",
        "hyperv": "Hyper-V",
        "vmware": "VMware",
        "virtualbox": "VirtualBox",
        "xen": "Xen",
        "amazon ec2": "EC2",
        "google": "Google Compute Engine",
        "kvm": "KVM",
        "qemu": "KVM",
    }
    return next((name for sign, name in names.items() if sign in said.lower()), "")


def _container(root: Path) -> str:
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker"
    groups = _text(root, "proc/1/cgroup") or ""
    match = re.search(r"kubepods|docker|lxc|libpod", groups)
    return {"kubepods": "kubernetes", "libpod": "podman"}.get(match[0], match[0]) if match else ""


def _turbo(root: Path) -> bool | None:
    off = _flag(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    return not off if off is not None else _flag(root, "sys/devices/system/cpu/cpufreq/boost")


def _seccomp(root: Path) -> bool | None:
    mode = _field(_text(root, "proc/self/status") or "", "Seccomp")
    return None if mode is None else mode != "0"


def _load(root: Path) -> float | None:
    match = re.match(r"\d+\.\d+", _text(root, "proc/loadavg") or "")
    return float(match[0]) if match else None


def _selected(root: Path, name: str) -> str | None:
    match = re.search(r"\[(\w+)\]", _text(root, name) or "")
    return match[1] if match else None


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (ValueError, OSError):
        return "unknown"


def _caches(root: Path) -> tuple[Cache, ...]:
    folder = root / "sys/devices/system/cpu/cpu0/cache"
    found = (_cache(root, path.relative_to(root)) for path in sorted(folder.glob("index[0-9]*")))
    return tuple(cache for cache in found if cache)


def _cache(root: Path, folder: Path) -> Cache | None:
    size = re.fullmatch(r"(\d+)([KM]?)", _text(root, f"{folder}/size") or "")
    level, ways, line = (
        _integer(root, f"{folder}/{name}")
        for name in ("level", "ways_of_associativity", "coherency_line_size")
    )
    if not size or not level or not ways or not line:
        return None
    return Cache(
        level=level,
        kind=_text(root, f"{folder}/type") or "",
        size_bytes=int(size[1]) << {"": 0, "K": 10, "M": 20}[size[2]],
        ways=ways,
        line_bytes=line,
    )
