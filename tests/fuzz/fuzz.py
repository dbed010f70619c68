"""Coverage-guided fuzzing of one of `targets`. Needs atheris (pip install 'hakprof[fuzz]').

python tests/fuzz/fuzz.py perfdata -max_total_time=60 tests/fuzz/corpus/perfdata

Inputs that reach new code are added to the folder; what breaks a parser is left as crash-*.
"""

import sys

import atheris

with atheris.instrument_imports(include=["hakprof", "elftools"]):
    from targets import TARGETS

    from hakprof.errors import InputError


def main() -> None:
    """Fuzz what the first argument names; the others are libFuzzer's."""
    target = TARGETS[sys.argv.pop(1)]

    def one_input(data: bytes) -> None:
        try:
            target(data)
        except InputError:
            return

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
