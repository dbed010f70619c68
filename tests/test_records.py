import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof import records
from hakprof.errors import InputError
from hakprof.model import (
    Absence,
    Absent,
    Arm,
    Evidence,
    Exit,
    Figure,
    Kind,
    OpReport,
    Proof,
    Reading,
    Sample,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(finite, st.builds(Absent, st.sampled_from(Absence), st.text()))
readings = st.builds(Reading, value=values, kind=st.sampled_from(Kind), error=finite)
reports = st.builds(
    OpReport,
    clock_hz=st.lists(finite, max_size=3).map(tuple),
    extra=st.dictionaries(st.text(), st.one_of(finite, st.text()), max_size=3),
)
proofs = st.builds(Proof, evidence=st.lists(st.builds(Evidence), max_size=2).map(tuple))
samples = st.builds(
    Sample,
    exit=st.builds(Exit),
    readings=st.lists(readings, max_size=3).map(tuple),
    report=st.none() | reports,
    proof=st.none() | proofs,
)
figures = st.builds(Figure, value=values, interval=st.none() | st.tuples(finite, finite))


@given(samples)
def test_a_sample_comes_back_equal(sample: Sample) -> None:
    text = json.dumps(records.to_json(sample), allow_nan=False)
    assert records.from_json(Sample, json.loads(text)) == sample


@given(figures)
def test_a_figure_comes_back_equal(figure: Figure) -> None:
    assert records.from_json(Figure, json.loads(json.dumps(records.to_json(figure)))) == figure


@given(st.builds(Arm))
def test_an_arm_comes_back_equal(arm: Arm) -> None:
    assert records.from_json(Arm, json.loads(json.dumps(records.to_json(arm)))) == arm


st.register_type_strategy(Path, st.text(min_size=1).map(Path))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        records.to_json(Absent(Absence.MISSING, ("x", float("nan"))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], "the document"),
        ({}, "'name'"),
        ({"name": 1, "value": 1, "unit": "", "kind": "timed", "source": ""}, "name"),
        ({"name": "", "value": "x", "unit": "", "kind": "timed", "source": ""}, "value"),
        ({"name": "", "value": 1, "unit": "", "kind": "guessed", "source": ""}, "kind"),
        ({"name": "", "value": True, "unit": "", "kind": "timed", "source": ""}, "value"),
        (
            {"name": "", "value": {"reason": "?"}, "unit": "", "kind": "timed", "source": ""},
            "value",
        ),
    ],
)
def test_a_broken_document_names_the_place(data: object, place: str) -> None:
    with pytest.raises(InputError) as caught:
        records.from_json(Reading, data)
    assert place in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_any_document_is_a_record_or_an_input_error(data: object) -> None:
    with contextlib.suppress(InputError):
        records.from_json(Sample, data)
