from dataclasses import dataclass

import pytest

from hakprof import backends
from hakprof.errors import BackendError, UsageError
from hakprof.model import Availability, CountingBackend, Job, Kind, Sample


@dataclass
class Rung:
    """A backend that only says whether it works."""

    name: str
    works: bool
    needs_roi: bool = False
    kind: Kind = Kind.EXACT
    first_ops: int = 1

    def probe(self) -> Availability:
        return Availability(
            usable=self.works, label=self.name, why="it is broken", advice="mend it"
        )

    def measure(self, job: Job) -> Sample:
        raise NotImplementedError(job)


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> tuple[CountingBackend, ...]:
    rungs = (
        Rung("first", works=False),
        Rung("second", works=True, needs_roi=True),
        Rung("third", works=True),
    )
    monkeypatch.setattr(backends, "COUNTING", rungs)
    monkeypatch.setattr(backends, "LADDER", (*rungs, backends.TIMING))
    return rungs


@pytest.mark.usefixtures("ladder")
def test_the_first_that_works_is_taken() -> None:
    assert backends.choose().name == "second"
    assert backends.choose(has_roi=False).name == "third"


def test_without_any_there_is_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "COUNTING", ())
    assert backends.choose() is backends.TIMING


@pytest.mark.usefixtures("ladder")
def test_a_forced_one_works_or_is_an_error_with_reason_and_advice() -> None:
    assert backends.choose("third").name == "third"
    assert backends.choose("timing") is backends.TIMING
    with pytest.raises(BackendError, match="backend first cannot work here: it is broken; mend it"):
        backends.choose("first")
    with pytest.raises(BackendError, match="only hakprof's own benchmarks"):
        backends.choose("second", has_roi=False)


def test_an_unknown_one_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no backend 'calgrind'; did you mean 'callgrind'"):
        backends.choose("calgrind")
    with pytest.raises(UsageError, match="there are perf, qemu, callgrind, stepper, timing"):
        backends.choose("xyz")


def test_order_of_the_ladder() -> None:
    assert [b.name for b in backends.LADDER] == ["perf", "qemu", "callgrind", "stepper", "timing"]
    for backend, found in backends.probe_all():
        assert found.label
        assert found.usable is not bool(found.why), backend.name
        assert found.usable is not bool(found.advice), backend.name
