"""Coverage-guided fuzzing of the counter file reader. Needs atheris (pip install 'hakprof[fuzz]').

python tests/fuzz/fuzz_counters.py -max_total_time=60 tests/fuzz/corpus/counters

Every input must end in dumps or in an InputError. Inputs that reach new code are added to the
corpus folder; the test suite reads all of them again.
"""

import sys

import atheris

with atheris.instrument_imports(include=["hakprof"]):
    from hakprof.counters.binary import MAGIC, parse_live
    from hakprof.counters.document import parse_document
    from hakprof.counters.dump import Dump
    from hakprof.errors import InputError


def read(data: bytes) -> Dump:
    """As `read.read_file` does with the contents of a file."""
    if data.startswith(MAGIC):
        return parse_live(data, "fuzz")
    return parse_document(data.decode(errors="replace"), "fuzz")[0]


def one_input(data: bytes) -> None:
    """What the fuzzer calls."""
    try:
        read(data).own()
    except InputError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
