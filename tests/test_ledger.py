import threading
from pathlib import Path

import pytest

from hakprof.claims import ClaimOutcome
from hakprof.errors import StoreError
from hakprof.ledger import Ledger
from hakprof.render import ledger as text
from hakprof.stats import Ratio

COMMAND = ("hakprof", "ab", "bench_tiny")


def test_claims_keep_their_order_and_outcome(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.claim("+10..+20%", COMMAND)
    second = ledger.claim("+5%", COMMAND)
    ledger.settle(first, ClaimOutcome.REFUTED, Ratio(1.02, 1.01, 1.03), 7)
    entries = Ledger(tmp_path).entries()
    assert [e.claim for e in entries] == [1, 2]
    assert entries[0].outcome is ClaimOutcome.REFUTED
    assert entries[0].speed == Ratio(1.02, 1.01, 1.03)
    assert entries[1] == second
    shown = text.render(entries)
    assert "+1.00 % .. +3.00 %" in shown
    assert shown.endswith("claims: 1 open, 1 refuted\n")


def test_no_claims_yet(tmp_path: Path) -> None:
    assert Ledger(tmp_path).entries() == []
    assert "no claims yet" in text.render([])


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(10):
            Ledger(tmp_path).claim("+1%", COMMAND)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(e.claim for e in Ledger(tmp_path).entries()) == list(range(1, 41))


@pytest.mark.parametrize("line", ["{", "[]", '{"claim": "x"}', "\x00"])
def test_a_broken_ledger_names_the_line(tmp_path: Path, line: str) -> None:
    Ledger(tmp_path).claim("+1%", COMMAND)
    with Ledger(tmp_path).path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match=r"claims\.jsonl:2"):
        Ledger(tmp_path).entries()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Ledger(tmp_path / "file" / "below").claim("+1%", COMMAND)
