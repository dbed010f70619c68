"""Where the native files lie that CMake installed into the package (docs/architecture.md)."""

from pathlib import Path

from hakprof.errors import HakprofError

NATIVE = Path(__file__).resolve().parent / "_native"


def library(name: str) -> Path:
    """Path of `lib/libNAME.so`; HakprofError if this installation lacks it."""
    return _existing(NATIVE / "lib" / f"lib{name}.so")


def program(name: str) -> Path:
    """Path of `bin/NAME`, a helper program."""
    return _existing(NATIVE / "bin" / name)


def benchmark(name: str) -> Path:
    """Path of `bench/NAME`."""
    return _existing(NATIVE / "bench" / name)


def counter_schema(name: str) -> Path:
    """Path of `counters/NAME.toml`."""
    return _existing(NATIVE / "counters" / f"{name}.toml")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise HakprofError(
            f"this installation of hakprof lacks {path.relative_to(NATIVE.parent)}",
            advice="install it again: pip install --force-reinstall, or scripts/hakprof in a clone",
        )
    return path
