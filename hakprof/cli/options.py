"""The options that several commands have, each said once."""

from pathlib import Path
from typing import Annotated

import typer

from hakprof.cli.shared import usable_cpus, writable
from hakprof.units import parse_count

Target = Annotated[
    str | None, typer.Argument(help="Benchmark, or BENCHMARK:PRESET; see hakprof list.")
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=256, help="Threads of the benchmark.")
]
Iters = Annotated[
    int | None,
    typer.Option(
        metavar="N", parser=parse_count, help="Length of a timed run, e.g. 20M. [about 0.1 s]"
    ),
]
Warmup = Annotated[
    int, typer.Option(metavar="N", min=0, max=1000, help="Runs before the first that counts.")
]
Blocks = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=1000, help="Blocks at most. [160]")
]
Budget = Annotated[str, typer.Option(metavar="TIME", help="Longest time of the timed runs.")]
Timeout = Annotated[str, typer.Option(metavar="TIME", help="Longest time of one run.")]
Pin = Annotated[
    frozenset[int] | None,
    typer.Option(metavar="CPUS", parser=usable_cpus, help="CPUs to run on: 0, or 0,2, or 1-3."),
]
Env = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Environment of the program. Repeatable."),
]
Backend = Annotated[
    str,
    typer.Option(metavar="NAME", help="Count with this one only; see hakprof list. [the best]"),
]
Wall = Annotated[bool, typer.Option("--wall", help="Compare wall time where CPU time would be.")]
Json = Annotated[
    Path | None, typer.Option(metavar="FILE", callback=writable, help="Write everything as JSON.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
Markdown = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=writable, help="Write what it says as Markdown."),
]
