"""All inputs that the fuzzer started from or found, once more, and single changes of them."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from hakprof.errors import InputError

FUZZ = Path(__file__).parent / "fuzz"
CHANGED = 40
"""Changed copies of each input: always the same ones."""

_spec = importlib.util.spec_from_file_location("targets", FUZZ / "targets.py")
assert _spec is not None
assert _spec.loader is not None
targets = importlib.util.module_from_spec(_spec)
sys.modules["targets"] = targets
_spec.loader.exec_module(targets)

INPUTS = [
    (target, path)
    for target in targets.TARGETS
    for path in sorted((FUZZ / "corpus" / target).iterdir())
]


@pytest.mark.parametrize(("target", "path"), INPUTS, ids=lambda part: getattr(part, "name", part))
def test_every_input_ends_in_a_result_or_in_input_error(target: str, path: Path) -> None:
    data = path.read_bytes()
    chance = random.Random(path.name)  # noqa: S311 # reproducible, not secret
    _try(target, data)
    for _ in range(CHANGED if target != "dwarf" else 4):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.choice([0, 1, 127, 128, 255])
        _try(target, bytes(changed[: chance.choice([len(changed), chance.randrange(len(data))])]))


def _try(target: str, data: bytes) -> None:
    problem = ""
    try:
        targets.TARGETS[target](data)
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem
