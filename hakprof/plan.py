"""Which runs happen, and in which order. Pure: the same plan and seed give the same order.

A block runs every arm once. Within a pair of blocks the second is the reverse of the first, which
is shuffled: slow drift of the machine then meets every arm alike.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hakprof.model import Allocator, Arm, Job, Target

MIN_BLOCKS = 5
"""Fewer give no interval worth printing."""

MAX_BLOCKS = 40
"""More change the median's interval by less than the machine's drift does."""

DEFAULT_BUDGET_S = 8.0
"""For the timed runs of one command; warm-up, counting and proof bring it to about 10 s."""

WARMUP_INDEX = -1
"""`Sample.index` of the warm-up blocks counts down from here; they enter no figure."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Arms, how often, and under which conditions."""

    arms: tuple[Arm, ...]
    runs: int | None = None  # exactly so many blocks; None: until the budget is spent
    budget_s: float = DEFAULT_BUDGET_S
    warmup: int = 1
    seed: int = 0
    timeout_s: float = 600.0
    cpus: frozenset[int] | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def max_blocks(self) -> int:
        """Upper limit of counted blocks."""
        return MAX_BLOCKS if self.runs is None else self.runs

    def enough(self, blocks: int, spent_s: float) -> bool:
        """Whether to stop after `blocks` blocks that took `spent_s` together."""
        if self.runs is not None or blocks >= self.max_blocks:
            return blocks >= self.max_blocks
        return blocks >= MIN_BLOCKS and spent_s + spent_s / blocks > self.budget_s

    def share_done(self, blocks: int, spent_s: float) -> float:
        """How much of the whole is done after `blocks` blocks, 0..1, as far as one can tell."""
        by_count = blocks / max(self.max_blocks, 1)
        if self.runs is not None:
            return by_count
        return min(1.0, max(by_count, min(spent_s / self.budget_s, blocks / MIN_BLOCKS)))

    def job(self, arm: Arm, index: int, target: Target | None = None) -> Job:
        """One run of one arm; `target` replaces the arm's own (a longer or shorter one).

        What is measured from start to exit is measured without the audit: its allocations would be
        counted too. A run of its own says who serves such a program (Measurement.observe).
        """
        return Job(
            arm=arm.name,
            index=index,
            target=target or arm.target,
            allocator=arm.allocator,
            cpus=self.cpus,
            timeout_s=self.timeout_s,
            options=self.options,
            audit=arm.target.is_benchmark,
        )

    def blocks(self) -> Iterator[tuple[int, tuple[Arm, ...]]]:
        """(index, arms in order): first the warm-up blocks, index -1, -2, ..., then 0, 1, ..."""
        for i in range(self.warmup):
            yield WARMUP_INDEX - i, self.arms
        for i, order in enumerate(self._orders()):
            yield i, order

    def _orders(self) -> Iterator[tuple[Arm, ...]]:
        chance = random.Random(self.seed)  # noqa: S311 (an order of runs is no secret)
        order: list[Arm] = []
        for i in range(self.max_blocks):
            if i % 2 == 0:
                order = chance.sample(self.arms, len(self.arms))
            else:
                order.reverse()
            yield tuple(order)


HARNESS_ARM = "harness alone"
"""Name of the arm that runs the benchmark on the null allocator."""


def arms_of(target: Target, allocators: Sequence[Allocator], native: Allocator) -> tuple[Arm, ...]:
    """One arm an allocator and, where the target has one, the harness alone on `native`."""
    names = arm_names(allocators)
    arms = [Arm(name, target, a) for name, a in zip(names, allocators, strict=True)]
    if target.harness_argv:
        alone = harness_of(target)
        arms.append(Arm(name=HARNESS_ARM, target=alone, allocator=native, harness_only=True))
    return tuple(arms)


def arm_names(allocators: Sequence[Allocator]) -> list[str]:
    """`hakmem:header HAKMEM_DECAY_MS=0`: the same library may be there in several environments."""
    settings = [" ".join([a.name, *(f"{k}={v}" for k, v in a.env.items())]) for a in allocators]
    return _distinct([a.title or name for a, name in zip(allocators, settings, strict=True)])


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that differ: two libraries may have the same file name."""
    seen = Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return found


def harness_of(target: Target) -> Target:
    """The same work on the null allocator."""
    name = f"{target.name}-null"
    return replace(target, name=name, argv=target.harness_argv, harness_argv=())
