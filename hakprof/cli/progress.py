"""A progress bar on a terminal, nothing anywhere else."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """Yields what is told the phase and the share of it that is done. Writes to stderr only.

    It draws when it is told something, between two runs, and never beside one that is timed.
    """
    if not sys.stderr.isatty():
        yield lambda _phase, _share: None
        return
    from rich.console import Console  # noqa: PLC0415 (50 ms that only a terminal needs)
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=1.0)

        def tell(phase: str, share: float) -> None:
            bar.update(task, description=phase, completed=share, refresh=True)

        yield tell
