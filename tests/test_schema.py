import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.errors import InputError
from hakprof.schema import load

SHIPPED = sorted((Path(__file__).parent.parent / "counters").glob("*.toml"))
GOOD = """
version = 1
[counter.hits]
unit = "calls"
meaning = "served from the cache"
layer = "thread_cache"
event = "x"
[identity]
all = "hits == hits"
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_schemas_are_valid(path: Path) -> None:
    assert load(path).counters


def test_common_keys_and_those_of_the_file_s_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(GOOD)
    schema = load(path)
    assert schema.name == "some"
    assert schema.counters["hits"].layer == "thread_cache"
    assert schema.counters["hits"].extra == {"event": "x"}
    assert schema.identities == {"all": "hits == hits"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "version is None"),
        ("version = 2", "this hakprof reads 1"),
        ("version = 1\ncounter = 3", "must be a table"),
        ("version = 1\n[counter.Hits]\nunit='1'\nmeaning='m'", "lower_case"),
        ("version = 1\n[counter.hits]\nmeaning='m'", "lacks 'unit'"),
        ("version = 1\n[counter.hits]\nunit=3\nmeaning='m'", "must be a string"),
        ("version = 1\n[counter.a]\n[counter.a]", "twice"),
        ("not toml", "it must be TOML"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    if complaint != "twice":
        assert complaint in str(caught.value)


@given(data=st.binary(max_size=200))
def test_any_bytes_load_or_raise_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.toml"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        load(path)
