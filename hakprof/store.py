"""What was ever measured: one sqlite3 file, written sample by sample, shared by concurrent runs.

    store.sqlite3    runs (when, command, machine), their arms, their samples
    runs/ID/         large artefacts of a run (profiles, counter files)

It lies in $HAKPROF_HOME, else in $XDG_STATE_HOME/hakprof, else in ~/.local/state/hakprof. Records
are stored as the JSON of `records`, so that a run can be shown again exactly as it was measured.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hakprof import records
from hakprof.errors import InputError, StoreError
from hakprof.model import Arm, Sample

VERSION = 1
"""PRAGMA user_version of the file; a file of another version is refused, never rewritten."""

BUSY_TIMEOUT_S = 20.0
"""How long to wait for another hakprof that is just writing."""

TABLES = """
CREATE TABLE run(id INTEGER PRIMARY KEY, started TEXT NOT NULL, command TEXT NOT NULL,
                 machine TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT 'unfinished');
CREATE TABLE arm(run INTEGER NOT NULL REFERENCES run, name TEXT NOT NULL, record TEXT NOT NULL,
                 PRIMARY KEY(run, name));
CREATE TABLE sample(run INTEGER NOT NULL REFERENCES run, arm TEXT NOT NULL, backend TEXT NOT NULL,
                    number INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX sample_of_run ON sample(run);
"""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One line of the store: which command ran when, and how it ended."""

    id: int
    started: str  # ISO 8601, UTC
    command: tuple[str, ...]
    machine: Mapping[str, str]
    outcome: str  # "unfinished" where the process died


def home() -> Path:
    """Folder of the run store."""
    if chosen := os.environ.get("HAKPROF_HOME"):
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "hakprof"


class Store:
    """An open store. Every method raises StoreError in words where sqlite3 fails."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or home()
        self.path = self.folder / "store.sqlite3"
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            with _alone(self.folder):
                self._db.execute("PRAGMA journal_mode=WAL")
                self._prepare()
            self._db.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def new_run(
        self, command: Sequence[str], machine: Mapping[str, str], arms: Sequence[Arm]
    ) -> int:
        """Open a run and return its number."""
        started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        with self._transaction():
            row = self._db.execute(
                "INSERT INTO run(started, command, machine) VALUES(?, ?, ?)",
                (started, json.dumps(list(command)), json.dumps(dict(machine))),
            )
            run = int(row.lastrowid or 0)
            self._db.executemany(
                "INSERT INTO arm(run, name, record) VALUES(?, ?, ?)",
                [(run, arm.name, _dump(arm)) for arm in arms],
            )
        return run

    def add(self, run: int, sample: Sample) -> None:
        """Keep one sample, at once and for good."""
        with self._explained():
            self._db.execute(
                "INSERT INTO sample(run, arm, backend, number, record) VALUES(?, ?, ?, ?, ?)",
                (run, sample.arm, sample.backend, sample.index, _dump(sample)),
            )

    def finish(self, run: int, outcome: str) -> None:
        """Say how the run ended: "done", "interrupted", or what went wrong."""
        with self._explained():
            self._db.execute("UPDATE run SET outcome = ? WHERE id = ?", (outcome, run))

    def artefacts(self, run: int) -> Path:
        """Folder for the large files of a run; created."""
        folder = self.folder / "runs" / str(run)
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def runs(self) -> list[StoredRun]:
        """All runs, the latest first."""
        with self._explained():
            rows = self._db.execute(
                "SELECT id, started, command, machine, outcome FROM run ORDER BY id DESC"
            ).fetchall()
            return [
                StoredRun(i, s, tuple(json.loads(c)), json.loads(m), o) for i, s, c, m, o in rows
            ]

    def arms(self, run: int) -> list[Arm]:
        """The arms of a run."""
        query = "SELECT record FROM arm WHERE run = ? ORDER BY rowid"
        with self._explained():
            rows = self._db.execute(query, (run,)).fetchall()
            return [records.from_json(Arm, json.loads(row[0])) for row in rows]

    def samples(self, run: int) -> list[Sample]:
        """The samples of a run in the order in which they were made."""
        query = "SELECT record FROM sample WHERE run = ? ORDER BY rowid"
        with self._explained():
            rows = self._db.execute(query, (run,)).fetchall()
            return [records.from_json(Sample, json.loads(row[0])) for row in rows]

    def _prepare(self) -> None:
        """Create the tables of an empty file; refuse a file of another version."""
        if self._version() == 0:
            with self._transaction():
                for statement in TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        if self._version() != VERSION:
            raise StoreError(
                f"{self.path} is a store of version {self._version()}, this hakprof uses {VERSION}",
                advice="set HAKPROF_HOME to another folder or use the hakprof that wrote it",
            )

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, InputError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise StoreError(
                f"run store {self.path}: {reason}",
                advice="free space or set HAKPROF_HOME to a folder that can be written",
            ) from error


class Keeper:
    """Keeps the samples of one run; remembers its first failure instead of raising it.

    Figures matter more than their archive: the run goes on, and its end says what was not kept.
    """

    def __init__(
        self, command: Sequence[str], machine: Mapping[str, str], arms: Sequence[Arm]
    ) -> None:
        self.problem: StoreError | None = None
        self.run = 0
        self._store: Store | None = None
        with self._remembered():
            self._store = Store()
            self.run = self._store.new_run(command, machine, arms)

    def keep(self, sample: Sample) -> None:
        """Store one sample."""
        with self._remembered():
            if self._store and not self.problem:
                self._store.add(self.run, sample)

    def finish(self, outcome: str) -> None:
        """Close the run."""
        with self._remembered():
            if self._store and not self.problem:
                self._store.finish(self.run, outcome)
        if self._store:
            self._store.close()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.problem = self.problem or error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: sqlite3 does not wait where two switch to write-ahead logging."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _dump(record: object) -> str:
    return json.dumps(records.to_json(record), allow_nan=False)
