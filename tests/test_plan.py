import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakprof.model import Allocator, Arm, Target
from hakprof.plan import HARNESS_ARM, MAX_BLOCKS, MIN_BLOCKS, Plan, arms_of

TARGET = Target("b", ("/b", "1"), is_benchmark=True, harness_argv=("/b-null", "1"), threads=2)
GLIBC = Allocator("glibc", None)


def plan_of(count: int, **changes: object) -> Plan:
    arms = tuple(Arm(str(i), TARGET, GLIBC) for i in range(count))
    return Plan(arms, **changes)  # type: ignore[arg-type]


@given(st.integers(1, 6), st.integers(1, 20), st.integers(0, 3), st.integers(0, 99))
def test_every_block_has_every_arm_once(arms: int, runs: int, warmup: int, seed: int) -> None:
    plan = plan_of(arms, runs=runs, warmup=warmup, seed=seed)
    blocks = list(plan.blocks())
    assert [index for index, _ in blocks] == [*(-1 - i for i in range(warmup)), *range(runs)]
    assert all(
        sorted(a.name for a in order) == sorted(a.name for a in plan.arms) for _, order in blocks
    )


@given(st.integers(2, 6), st.integers(0, 99))
def test_pairs_of_blocks_are_balanced(arms: int, seed: int) -> None:
    orders = [order for _, order in plan_of(arms, runs=20, warmup=0, seed=seed).blocks()]
    assert orders[1::2] == [order[::-1] for order in orders[::2]]
    places: dict[str, int] = {}
    for order in orders:
        for place, arm in enumerate(order):
            places[arm.name] = places.get(arm.name, 0) + place
    assert len(set(places.values())) == 1


def test_the_same_seed_gives_the_same_order_and_another_does_not() -> None:
    orders = [list(plan_of(5, runs=10, seed=seed).blocks()) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_number_of_runs_is_kept_whatever_the_time() -> None:
    plan = plan_of(2, runs=3)
    assert [plan.enough(blocks, 1e9) for blocks in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize(
    ("blocks", "spent_s", "enough"),
    [
        (1, 100.0, False),  # never fewer than the least
        (MIN_BLOCKS, 100.0, True),
        (MIN_BLOCKS, 1.0, False),
        (10, 6.5, True),  # one more would be too many
        (MAX_BLOCKS, 0.1, True),
    ],
)
def test_the_budget_ends_a_run(blocks: int, spent_s: float, *, enough: bool) -> None:
    assert plan_of(2, budget_s=7.0).enough(blocks, spent_s) is enough


@given(st.integers(0, MAX_BLOCKS), st.floats(0, 100))
def test_progress_stays_within_bounds(blocks: int, spent_s: float) -> None:
    assert 0 <= plan_of(1).share_done(blocks, spent_s) <= 1


def test_the_harness_runs_beside_the_allocators() -> None:
    arms = arms_of(TARGET, [Allocator("a", None), Allocator("b", None)], GLIBC)
    assert [arm.name for arm in arms] == ["a", "b", HARNESS_ARM]
    assert [arm.harness_only for arm in arms] == [False, False, True]
    assert arms[-1].target.argv == ("/b-null", "1")
    assert arms[-1].target.threads == 2


def test_a_program_has_no_harness() -> None:
    arms = arms_of(Target("ls", ("/bin/ls",), is_benchmark=False), [GLIBC], GLIBC)
    assert [arm.name for arm in arms] == ["glibc"]
