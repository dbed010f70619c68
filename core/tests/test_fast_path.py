"""Fail unless malloc and free take exactly the instructions that the design promises.

Usage: test_fast_path.py LIBRARY. Follows the hit path of each function in objdump's listing: from
its entry, past forward branches that are not taken, to the first `ret`.
"""

import re
import subprocess
import sys

# function: instructions on the hit path
PROMISED = {"malloc": 11, "free": 11}
FORBIDDEN = re.compile(r"^(call|lock|push|pop|xchg)|\(%rsp|\(%rbp")


def hit_path(listing: str, function: str) -> list[str]:
    """Instructions of `function` from its entry to the first return."""
    path: list[str] = []
    inside = False
    for line in listing.splitlines():
        if line.endswith(f"<{function}>:"):
            inside = True
        elif inside and (match := re.match(r"\s+[0-9a-f]+:\s+(\S.*)", line)):
            path.append(match[1].strip())
            if path[-1].startswith("ret"):
                return path
    msg = f"{function}: no return found"
    raise SystemExit(msg)


def main() -> int:
    """Check each promised path, print the listing of a broken one."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", sys.argv[1]],
        check=True, capture_output=True, text=True,
    ).stdout
    failed = 0
    for function, promised in PROMISED.items():
        path = hit_path(listing, function)
        if len(path) != promised or any(FORBIDDEN.search(each) for each in path):
            print(f"{function}: {len(path)} instructions, promised {promised}:", *path, sep="\n  ")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
