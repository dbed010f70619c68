"""Stacks in the formats of other viewers: collapsed, speedscope, the Firefox profiler, pprof."""

import gzip
import json
from collections.abc import Iterable
from typing import Any

from hakprof.hotspots.flame import Flame

FIREFOX_VERSION, FIREFOX_PROCESSED_VERSION = 27, 47
SPEEDSCOPE_UNITS = {"ns": "nanoseconds"}


def collapsed(shown: Flame) -> str:
    """`outer;inner 12`, as flamegraph.pl takes it."""
    lines = (
        f"{';'.join(name.replace(';', ':') for name in stack)} {round(weight)}"
        for stack, weight in sorted(shown.stacks.items())
    )
    return "".join(f"{line}\n" for line in lines)


class _Numbers:
    """Numbers for names in the order in which they come."""

    def __init__(self, first: Iterable[str] = ()) -> None:
        self.of: dict[str, int] = {}
        for name in first:
            self.number(name)

    def number(self, name: str) -> int:
        """The number of a name, a new one for a new name."""
        return self.of.setdefault(name, len(self.of))


def speedscope(shown: Flame) -> str:
    """Speedscope's file format (https://www.speedscope.app/file-format-schema.json)."""
    names = _Numbers()
    samples = [[names.number(name) for name in stack] for stack in shown.stacks]
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "hakprof",
        "name": shown.title,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in names.of]},
        "profiles": [
            {
                "type": "sampled",
                "name": shown.title,
                "unit": SPEEDSCOPE_UNITS.get(shown.unit, "none"),
                "startValue": 0,
                "endValue": shown.total,
                "samples": samples,
                "weights": list(shown.stacks.values()),
            }
        ],
    }
    return json.dumps(document)


def firefox(shown: Flame) -> str:
    """The processed format of the Firefox profiler, version 47. Time runs along the weights."""
    names = _Numbers()
    prefixes: list[int | None] = []
    frames: list[int] = []
    known: dict[tuple[int | None, int], int] = {}
    ends, times, now = [], [], 0.0
    for stack, weight in shown.stacks.items():
        at: int | None = None
        for name in stack:
            key = (at, names.number(name))
            if key not in known:
                known[key] = len(frames)
                prefixes.append(key[0])
                frames.append(key[1])
            at = known[key]
        ends.append(at)
        times.append(now)
        now += weight / 1e6 if shown.unit == "ns" else 1.0
    samples = {
        "stack": ends,
        "time": times,
        "weight": [round(weight) for weight in shown.stacks.values()],
        "weightType": "samples",
        "length": len(ends),
    }
    stacks = {
        "frame": frames,
        "prefix": prefixes,
        "category": [0] * len(frames),
        "subcategory": [0] * len(frames),
        "length": len(frames),
    }
    return json.dumps(
        {
            "meta": _firefox_meta(shown),
            "libs": [],
            "threads": [_firefox_thread(names, stacks, samples)],
        }
    )


def _firefox_meta(shown: Flame) -> dict[str, Any]:
    return {
        "interval": 1,
        "startTime": 0,
        "processType": 0,
        "product": shown.title,
        "stackwalk": 1,
        "version": FIREFOX_VERSION,
        "preprocessedProfileVersion": FIREFOX_PROCESSED_VERSION,
        "categories": [{"name": "Other", "color": "grey", "subcategories": ["Other"]}],
        "markerSchema": [],
        "symbolicated": True,
    }


def _firefox_thread(
    names: _Numbers, stacks: dict[str, Any], samples: dict[str, Any]
) -> dict[str, Any]:
    count = len(names.of)
    numbers, nothing = list(range(count)), [None] * count
    return {
        "processType": "default",
        "processStartupTime": 0,
        "processShutdownTime": None,
        "registerTime": 0,
        "unregisterTime": None,
        "pausedRanges": [],
        "name": "all",
        "isMainThread": True,
        "pid": "0",
        "tid": 0,
        "samples": samples,
        "stackTable": stacks,
        "frameTable": {
            "address": [-1] * count,
            "inlineDepth": [0] * count,
            "category": [0] * count,
            "subcategory": [0] * count,
            "func": numbers,
            "nativeSymbol": nothing,
            "innerWindowID": [0] * count,
            "implementation": nothing,
            "line": nothing,
            "column": nothing,
            "length": count,
        },
        "funcTable": {
            "name": numbers,
            "isJS": [False] * count,
            "relevantForJS": [False] * count,
            "resource": [-1] * count,
            "fileName": nothing,
            "lineNumber": nothing,
            "columnNumber": nothing,
            "length": count,
        },
        "resourceTable": {"lib": [], "name": [], "host": [], "type": [], "length": 0},
        "nativeSymbols": {
            "libIndex": [],
            "address": [],
            "name": [],
            "functionSize": [],
            "length": 0,
        },
        "markers": {
            "data": [],
            "name": [],
            "startTime": [],
            "endTime": [],
            "phase": [],
            "category": [],
            "length": 0,
        },
        "stringArray": list(names.of),
    }


def pprof(shown: Flame) -> bytes:
    """Pprof's profile.proto, compressed. The fields' numbers are those of that file."""
    strings = _Numbers(["", "weight", shown.unit])
    locations = _Numbers()
    body = bytearray(_message(1, _number(1, strings.of["weight"]) + _number(2, 2)))
    for stack, weight in shown.stacks.items():
        ids = [locations.number(name) + 1 for name in reversed(stack)]
        body += _message(2, _packed(1, ids) + _packed(2, [round(weight)]))
    for name, i in locations.of.items():
        number = i + 1
        body += _message(4, _number(1, number) + _message(4, _number(1, number)))
        body += _message(5, _number(1, number) + _number(2, strings.number(name)))
    for text in strings.of:
        body += _message(6, text.encode())
    return gzip.compress(bytes(body), mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _packed(field: int, values: list[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))
