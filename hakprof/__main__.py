"""`python -m hakprof` is the same as `hakprof`."""

import sys


def start() -> int:
    """Ctrl-C while the rest is being loaded ends in one line, as it does later."""
    try:
        from hakprof.cli.main import main  # noqa: PLC0415 (what Ctrl-C may interrupt)

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("hakprof: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(start())
