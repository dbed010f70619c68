"""Reads `counters/*.toml`: the only lists of what can be counted, by name, unit and meaning.

version = 1
[counter.instructions]
unit = "instructions"
meaning = "instructions retired in user mode"
event = "instructions:u"        # keys beyond the common ones belong to the file's own reader

[identity]
served = "allocs == cache_hits + cache_misses"
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hakprof.errors import InputError

SUPPORTED_VERSION = 1
COMMON_KEYS = ("unit", "meaning", "layer", "stage")
COMMON_TABLES = ("version", "counter", "identity")
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Counter:
    """One thing that can be counted."""

    name: str
    unit: str
    meaning: str
    layer: str = ""
    stage: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """what only the reader of this file knows: perf's event name, for example"""


@dataclass(frozen=True, slots=True)
class Schema:
    """One file: its counters in the order of the file, and what must hold between them."""

    name: str
    version: int
    digest: str  # sha256 of the file, hexadecimal
    counters: Mapping[str, Counter]
    identities: Mapping[str, str]
    extra: Mapping[str, Any]
    """tables that only the reader of this file knows: the axes of hakmem's counters"""


def load(path: Path) -> Schema:
    """Read and check one schema. Raises InputError that names the file and the place in it."""
    try:
        data = path.read_bytes()
        table = tomllib.loads(data.decode())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}", advice="it must be TOML") from error
    version = table.get("version")
    if version != SUPPORTED_VERSION:
        raise InputError(f"{path}: version is {version!r}, this hakprof reads {SUPPORTED_VERSION}")
    return Schema(
        name=path.stem,
        version=version,
        digest=hashlib.sha256(data).hexdigest(),
        counters={name: _counter(path, name, row) for name, row in _rows(path, table, "counter")},
        identities={
            name: _text(path, f"identity.{name}", rule)
            for name, rule in _rows(path, table, "identity")
        },
        extra={name: rows for name, rows in table.items() if name not in COMMON_TABLES},
    )


def _rows(path: Path, table: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    rows = table.get(key, {})
    if not isinstance(rows, dict):
        raise InputError(f"{path}: {key} must be a table, [{key}.NAME]")
    for name in rows:
        if not NAME.fullmatch(name):
            raise InputError(f"{path}: {key}.{name}: names are lower_case_with_underscores")
    return list(rows.items())


def _counter(path: Path, name: str, row: object) -> Counter:
    where = f"counter.{name}"
    if not isinstance(row, dict):
        raise InputError(f"{path}: {where} must be a table")
    common = {key: _text(path, f"{where}.{key}", row[key]) for key in COMMON_KEYS if key in row}
    for key in ("unit", "meaning"):
        if not common.get(key):
            raise InputError(f"{path}: {where} lacks {key!r}")
    extra = {key: value for key, value in row.items() if key not in COMMON_KEYS}
    return Counter(name=name, extra=extra, **common)


def _text(path: Path, where: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{path}: {where} must be a string, not {value!r}")
    return value
