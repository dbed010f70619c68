"""When to look at a growing comparison, and how sure to be at each look.

Whoever looks again and again until a difference "is significant" finds one. The rule here (alpha
spending, Lan and DeMets 1983): before the start, the most blocks that may be run are fixed; by
the look at the fraction t of them, `alpha t^2` of the false alarms allowed have been spent. Each
look gets the level that spends its share, given what the earlier ones could catch already. The
intervals of all looks then hold *together* with the chance 1 - alpha, so that any reason to stop
at a look is allowed: a difference was seen, the interval is narrow enough, time is up.
"""

import functools
import math
from statistics import NormalDist

import numpy as np

from hakprof.stats import FloatArray

LOOK_FRACTIONS = (1 / 16, 1 / 8, 0.25, 0.375, 0.5, 0.75, 1.0)
WALK_LIMIT = 6.0
GRID = 1201
"""The walk's density is followed on so many points up to +- the limit: levels right to 1 %."""


def planned_looks(least: int, most: int) -> tuple[int, ...]:
    """Block counts at which to look, rising, the last one `most`; none before `least`."""
    looks = {math.ceil(most * fraction) for fraction in LOOK_FRACTIONS}
    return tuple(sorted(look for look in looks if look >= min(least, most)))


@functools.lru_cache(maxsize=256)
def look_levels(looks: tuple[int, ...], most: int, alpha: float) -> tuple[float, ...]:
    """Confidence level of the interval at each look, after these looks at counts up to `most`.

    The standardised score of a rank test walks like Brownian motion in the share of blocks done
    when there is no difference. Its density over the part that no earlier look caught is carried
    from look to look; each bound is where the tail holds what this look may spend.
    """
    walk = np.linspace(-WALK_LIMIT, WALK_LIMIT, GRID)
    density = np.zeros(GRID)
    spent = before = 0.0
    levels = []
    for look in looks:
        now = look / most
        density = _carried(walk, density, before, now)
        share = alpha * now**2 - spent
        bound = float(np.interp(-share, -_tails(walk, density), walk[GRID // 2 :]))
        density[np.abs(walk) > bound] = 0.0
        levels.append(2 * NormalDist().cdf(bound / math.sqrt(now)) - 1)
        spent, before = alpha * now**2, now
    return tuple(levels)


def _carried(walk: FloatArray, density: FloatArray, before: float, now: float) -> FloatArray:
    """Density at time `now` of what was there at `before`; at time 0 all of it was at 0."""
    if before == 0.0:
        return _normal(walk, math.sqrt(now))
    step = _normal(walk[:, None] - walk, math.sqrt(now - before))
    carried: FloatArray = step @ density * (walk[1] - walk[0])
    return carried


def _tails(walk: FloatArray, density: FloatArray) -> FloatArray:
    """Chance to be further out than x, on either side, for each x >= 0 of the walk."""
    outer = density[GRID // 2 :] + density[GRID // 2 :: -1]
    cells = (outer[1:] + outer[:-1]) / 2 * (walk[1] - walk[0])
    return np.append(np.cumsum(cells[::-1])[::-1], 0.0)


def _normal(x: FloatArray, deviation: float) -> FloatArray:
    scaled = x / deviation
    density: FloatArray = np.exp(-scaled * scaled / 2) / (deviation * math.sqrt(2 * math.pi))
    return density
