"""The options of the commands that draw, and the files that they write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hakprof.cli.shared import Output, writable
from hakprof.render import png, svg
from hakprof.render.chart import Chart


def _png_file(name: str) -> Path:
    png.check()
    return Path(name)


Svg = Annotated[
    Path | None,
    typer.Option("--svg", metavar="FILE", callback=writable, help="Write the plot as SVG."),
]
Png = Annotated[
    Path | None,
    typer.Option(
        "--png",
        metavar="FILE",
        parser=_png_file,
        callback=writable,
        help="The same as PNG, by matplotlib.",
    ),
]


def pictures(
    charts: Callable[[], Sequence[Chart]], *, svg_file: Path | None, png_file: Path | None
) -> list[Output]:
    """What `finish` writes where pictures were asked for."""
    return [
        (svg_file, lambda: svg.stacked(charts())),
        (png_file, lambda: png.render(charts())),
    ]
