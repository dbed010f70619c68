"""libhakmem-learn.so: what its call sites learn, as its counters tell it."""

import os
import subprocess
from pathlib import Path

import pytest

from hakprof.counters.dump import Dump
from hakprof.counters.identities import check_all
from hakprof.counters.read import read_dumps
from hakprof.counters.view import view_of
from hakprof.native import benchmark, counter_schema, library
from hakprof.schema import load

SCHEMA = load(counter_schema("hakmem"))


def counted(folder: Path, kind: str, **more: str) -> Dump:
    """The dump of a run of one of the scenarios."""
    path = folder / "dump.json"
    env = os.environ | more
    env |= {"LD_PRELOAD": str(library("hakmem-counters+learn")), "HAKMEM_COUNTERS": str(path)}
    command = [str(benchmark("scenario")), "--kind", kind, "--iters", "4000", "--warmup", "0"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    (dump,) = read_dumps(path)
    checks = check_all(SCHEMA, dump)
    assert not [check.identity.name for check in checks if check.missing or check.breaches]
    return dump


@pytest.mark.parametrize("algorithm", ["ucb1", "elo"])
@pytest.mark.parametrize("kind", ["json", "mir", "vm", "mixed"])
def test_every_block_of_a_site_is_accounted_for(kind: str, algorithm: str, tmp_path: Path) -> None:
    view = view_of(counted(tmp_path, kind, HAKMEM_LEARN=algorithm))
    learned = {what: view.sum("learned", learned=what) for what in view.members("learned")}
    assert learned["reused"] + learned["missed"] == view.sum("run_alloc") + view.sum("large_alloc")
    assert learned["kept"] + learned["returned"] == view.sum("run_free") + view.sum("large_free")
    assert learned["reused"] > 0
    assert learned["tried"] >= learned["frozen"]
    assert learned["epoch"] > 10


def test_nothing_is_learned_when_it_is_off(tmp_path: Path) -> None:
    view = view_of(counted(tmp_path, "mixed", HAKMEM_LEARN="off"))
    assert view.sum("run_alloc") + view.sum("large_alloc") > 0
    assert view.sum("learned") == 0
