"""Claims and what became of them: a file of the run store that is only ever appended to.

A claim is written down before its run and its outcome after it, each as one JSON line; a claim
without an outcome is one whose run was broken off. What is in the ledger cannot be written better
afterwards.
"""

import datetime as dt
import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hakprof import records, store
from hakprof.claims import ClaimOutcome
from hakprof.errors import InputError, StoreError
from hakprof.stats import Ratio

FILE = "claims.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a claim, or the outcome of the claim with the same number."""

    claim: int
    at: str  # ISO 8601, UTC
    text: str  # as it was claimed: "+10..+20%"
    command: tuple[str, ...]
    outcome: ClaimOutcome = ClaimOutcome.OPEN
    speed: Ratio | None = None  # new/base, where it was bounded
    run: int = 0  # in the run store


class Ledger:
    """The ledger of the run store. StoreError where it cannot be read or written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or store.home()) / FILE

    def claim(self, text: str, command: Sequence[str]) -> Entry:
        """Write a claim down and give it a number."""
        entry = Entry(0, _now(), text, tuple(command))
        return self._append(entry)

    def settle(self, entry: Entry, outcome: ClaimOutcome, speed: Ratio | None, run: int) -> Entry:
        """Write down what became of a claim."""
        return self._append(replace(entry, at=_now(), outcome=outcome, speed=speed, run=run))

    def entries(self) -> list[Entry]:
        """Each claim in the order of the numbers, with its outcome if it has one."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read {self.path}: {error}") from error
        found = {}
        for number, line in enumerate(text.splitlines(), 1):
            entry = self._read(line, number)
            found[entry.claim] = entry
        return list(found.values())

    def _read(self, line: str, number: int) -> Entry:
        try:
            return records.from_json(Entry, json.loads(line))
        except (ValueError, InputError, RecursionError) as error:
            raise StoreError(
                f"{self.path}:{number}: no entry of a ledger: {error}",
                advice="take the line out, or set HAKPROF_HOME to another folder",
            ) from error

    def _append(self, entry: Entry) -> Entry:
        """One line, whole and for good; concurrent writers wait for each other."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not entry.claim:
                    entry = replace(
                        entry, claim=1 + max((e.claim for e in self.entries()), default=0)
                    )
                file.write(json.dumps(records.to_json(entry)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"cannot write {self.path}: {error.strerror}",
                advice="free space or set HAKPROF_HOME to a folder that can be written",
            ) from error
        return entry


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
