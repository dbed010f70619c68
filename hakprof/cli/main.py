"""The entry point: finds the command, runs it, turns errors into exit codes (see `errors`).

A command is a module `hakprof.cli.NAME` with a typer application `app` of one function. Only the
module of the command that runs is imported, so that `hakprof --help` stays fast.
"""

import errno
import importlib
import io
import os
import signal
import sys

from hakprof.errors import HakprofError, InterruptedRunError, StoreError, UsageError

COMMANDS: dict[str, str] = {
    "stat": "measure a benchmark or a program on one allocator or several",
    "verify": "prove which allocator serves the calls of a program",
    "doctor": "check what disturbs measurements here, and which backends work",
    "list": "benchmarks, allocators and backends, and what is missing here",
    "counters": "what a hakmem built with counters counted: refills, frees, early returns",
    "record": "record where a benchmark or a program spends time and instructions",
    "hotspots": "what was recorded, by stage, library and function",
    "annotate": "source and assembly of a function with costs, even if it is only inlined",
    "paths": "every path through a function as it ran, how often and how long",
    "flame": "call stacks as a picture: terminal, web page, or for other viewers",
    "compare": "several allocators on one target, and which differences are real",
    "gap": "why one allocator is slower than another, stage by stage",
    "matrix": "many comparisons from one file, resumed where it stopped, as table and page",
    "ab": "one change before and after, and whether it did what was claimed",
    "isolate": "what each of several design decisions costs, alone and together",
    "sweep": "throughput over thread counts, sizes or working sets, and what limits it",
    "memory": "mapped, resident and returned memory over time, and the calls behind it",
    "health": "whether hakmem's profiles do what they promise, on this machine",
}
"""name -> one line of help, in the order in which the help shows them"""

INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits(3): a mistake of hakprof's own."""


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return the exit code."""
    args = sys.argv[1:] if argv is None else argv
    try:
        _end_as_by_ctrl_c()
        _open_streams()
        return _dispatch(args)
    except HakprofError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output (a pager, head) is gone: no message, no second error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _complain(
                f"{error.filename or 'output'}: {error.strerror}; free space, or write elsewhere"
            )
            return StoreError.exit_code
        if os.environ.get("HAKPROF_DEBUG"):
            raise
        _complain(
            f"internal error: {type(error).__name__}: {error}; "
            "HAKPROF_DEBUG=1 shows where, please report it"
        )
        return INTERNAL_ERROR


def _end_as_by_ctrl_c() -> None:
    """SIGTERM and a closed terminal also stop the program and keep what was measured."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not what nohup ignores
            signal.signal(number, signal.default_int_handler)


def _open_streams() -> None:
    """Standard error may be closed, and file names need not be text."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (open as long as we run)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _fit_terminal() -> None:
    """Tables and paragraphs keep to a terminal's width; pipes and files get them whole."""
    if sys.stdout is not None and sys.stdout.isatty():
        import shutil  # noqa: PLC0415 (--help needs neither)

        from hakprof.render.table import PAGE  # noqa: PLC0415

        PAGE.fit(shutil.get_terminal_size().columns)


def _dispatch(args: list[str]) -> int:
    if args[:1] == ["help"] and args[1:]:
        args = [args[1], "--help"]
    if not args or args[0] in {"-h", "--help", "help"}:
        print(help_text(), flush=True)
        return 0
    if args[0] in {"-V", "--version"}:
        from importlib.metadata import version  # noqa: PLC0415 (as slow as all else here)

        print(f"hakprof {version('hakprof')}", flush=True)
        return 0
    name = args[0]
    if name not in COMMANDS:
        import difflib  # noqa: PLC0415 (a tenth of the time that --help may take)

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        raise UsageError(
            f"no command {name!r}",
            advice=f"did you mean {near[0]!r}?" if near else "hakprof --help lists the commands",
        )
    module = importlib.import_module(f"hakprof.cli.{name.replace('-', '_')}")
    _fit_terminal()
    try:
        code = module.app(args=args[1:], prog_name=f"hakprof {name}", standalone_mode=False)
    except HakprofError:
        raise
    except Exception as error:
        # typer brings its own copy of click, or not, by version: its errors know their message
        if not hasattr(error, "format_message"):
            raise
        advice = f"hakprof {name} --help explains it"
        raise UsageError(error.format_message().rstrip("."), advice=advice) from error
    if code == InterruptedRunError.exit_code:  # typer catches Ctrl-C and returns this
        raise InterruptedRunError("interrupted")
    return 0


def help_text() -> str:
    """What `hakprof --help` prints."""
    width = max(map(len, COMMANDS), default=0)
    rows = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: hakprof COMMAND [OPTIONS] [ARGS]",
            "",
            "Measures, explains and compares memory allocators, and the programs that run on them.",
            "",
            "Commands:",
            *rows,
            "",
            "hakprof COMMAND --help explains one.",
            "Exit codes: 0 done, 2 usage, 3 the program failed, 4 unproven, 5 backend cannot",
            "work here, 6 broken file, 7 store or output file, 130 interrupted.",
        ]
    )


def _complain(text: str) -> None:
    sys.stderr.write(f"hakprof: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
