import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.claims import Claim, ClaimOutcome, parse_claim
from hakprof.errors import UsageError
from hakprof.stats import Ratio


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("+10..+20%", 1.1, 1.2),
        ("10% .. 20%", 1.1, 1.2),
        ("+2.5%", 1.025, math.inf),
        ("-5%", 0, 0.95),
        ("-1..+1%", 0.99, 1.01),
        ("-30..-60%", 0.4, 0.7),
        ("-60..-30%", 0.4, 0.7),
    ],
)
def test_claims_are_read(text: str, low: float, high: float) -> None:
    claim = parse_claim(text)
    assert (claim.low, claim.high) == pytest.approx((low, high))


@pytest.mark.parametrize("text", ["", "fast", "10", "0%", "+20..+10%", "-120..0%", "5..5%", "٣%"])
def test_what_no_run_could_refute_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no claim"):
        parse_claim(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        claim = parse_claim(text)
    except UsageError:
        return
    assert 0 <= claim.low < claim.high


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.12, 1.18, ClaimOutcome.CONFIRMED),
        (1.10, 1.20, ClaimOutcome.CONFIRMED),
        (1.01, 1.09, ClaimOutcome.REFUTED),
        (1.21, 1.30, ClaimOutcome.REFUTED),
        (1.05, 1.15, ClaimOutcome.CANNOT_TELL),
        (0.00, math.inf, ClaimOutcome.CANNOT_TELL),
    ],
)
def test_judging(low: float, high: float, outcome: ClaimOutcome) -> None:
    assert Claim(1.1, 1.2).judge(Ratio(1.1, low, high)) is outcome
