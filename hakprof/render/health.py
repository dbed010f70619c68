"""The health of profiles as text."""

from collections.abc import Sequence

from hakprof.health import Health
from hakprof.render.table import labelled


def render(found: Sequence[Health]) -> str:
    """A paragraph a profile, the sick checks marked."""
    parts = []
    for health in found:
        state = "healthy" if health.healthy else "SICK"
        head = f"{health.profile}: {state} on {health.target} ({health.summary})"
        rows = [(f"  {'ok' if c.healthy else 'NO'}  {c.name}", c.seen) for c in health.checks]
        parts.append("\n".join([head, *labelled(rows)]))
    return "\n\n".join(parts) + "\n"
