"""What switches cost: the contrasts of a factorial design, bounded by what chance can do.

A block runs every arm once in random order. If a word has no effect, its contrast over a block is
as likely above zero as below, whatever the other effects and the noise: the signed-rank interval
over the blocks holds. All words are decided together (Holm), at all looks together.

The base runs twice a block. Where chance makes even these two differ, an effect is what exceeds it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hakprof.compare import ALPHA, NEGLIGIBLE, PROPORTION, RESOLUTION, Looks, step_down
from hakprof.factorial import Contrasts
from hakprof.stats import FloatArray, Shift, paired_shift


def bounded_effects(
    contrasts: Contrasts, costs: Sequence[FloatArray], again: FloatArray, looks: Looks
) -> dict[int, Shift]:
    """The effect of each word, from the costs of each arm block by block, in their unit.

    The first of `costs` are those of the base, `again` those of its second run.
    """
    blocks = np.array(costs)
    same = paired_shift(again - blocks[0], level=looks.level(ALPHA))
    margin = same.bound if same.excludes_zero else 0.0
    rows = {
        word: (weights @ blocks, margin * float(np.abs(weights).sum()) / 2)
        for word, weights in zip(contrasts.words, contrasts.weights, strict=True)
    }

    def bounded(word: int, level: float) -> Shift:
        differences, margin = rows[word]
        return paired_shift(differences, level=level).widened(margin)

    return step_down(rows, bounded, lambda shift: shift.excludes_zero, looks)


def exact_effects(
    contrasts: Contrasts, counts: Sequence[float], errors: Sequence[float]
) -> dict[int, Shift]:
    """The effect of each word, from a count an arm and what it may be off by, in the same unit.

    The errors are limits, not chances: the interval is what they can add up to, and holds surely.
    """
    values = contrasts.weights @ np.array(counts)
    limits = np.abs(contrasts.weights) @ np.array(errors)
    return {
        word: Shift(float(value), float(value - limit), float(value + limit), 1.0)
        for word, value, limit in zip(contrasts.words, values, limits, strict=True)
    }


def settled(effects: Mapping[int, Shift], base_cost: float) -> bool:
    """More blocks would not change what is said of any effect in a way that matters."""
    return all(
        (effect.high - effect.low) / 2
        <= max(RESOLUTION * base_cost, PROPORTION * abs(effect.value))
        if effect.excludes_zero
        else effect.bound <= NEGLIGIBLE * base_cost
        for effect in effects.values()
    )
