"""What a value of an option that may be given several times names."""

from pathlib import Path

import pytest

from hakprof.cli.shared import split_list
from hakprof.errors import UsageError


def test_names_and_paths_may_stand_in_one_value() -> None:
    words = ["hakmem,one=/nosuch/a.so,./nosuch.so", "glibc", "hakmem"]
    assert split_list("--alloc", words) == ["hakmem", "one=/nosuch/a.so", "./nosuch.so", "glibc"]


def test_the_path_of_a_file_may_hold_a_comma(tmp_path: Path) -> None:
    file = tmp_path / "a,b.so"
    file.touch()
    assert split_list("--alloc", [str(file), f"one={file}"]) == [str(file), f"one={file}"]


@pytest.mark.parametrize("value", ["", ",", " , "])
def test_a_value_that_names_nothing_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        split_list("--alloc", ["glibc", value])
