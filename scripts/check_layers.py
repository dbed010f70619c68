"""Fail if a module imports a later stage, or a C layer includes a higher one.

Python: a stage may import only what stands to its left in `STAGES` (and its own row).
C: api -> thread_cache -> slab -> superslab -> os; includes go downward only.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STAGES = (
    ("errors", "units", "stats", "factorial", "preload"),
    ("model", "records", "profile"),
    ("process", "native", "schema"),
    ("environment", "allocators", "benchmarks", "elf"),
    ("profiles",),
    ("backends", "audit", "evidence", "proof", "census", "counters", "symbols", "perfdata"),
    ("plan", "store", "work", "switches"),
    ("resident",),
    ("runner", "layout"),
    ("metrics", "figures", "sequential"),
    ("compare", "claims", "scaling", "effects"),
    ("contest",),
    ("findings",),
    ("report", "measurement"),
    ("stat", "counting", "hotspots", "listing", "verification", "checkup"),
    ("comparison", "ledger", "memory"),
    ("sweep", "gap", "matrix", "health", "isolate"),
    ("render",),
    ("cli",),
)
C_LAYERS = (
    (
        "limit",
        "os",
        "config",
        "events",
        "counters",
        "size_class",
        "base",
        "free_list",
        "secure",
        "region_header",
        "registry",
        "learn_config",
        "thread_stats",
        "lock",
        "class_map",
        "meta",
    ),
    ("superslab", "filled"),
    ("slab", "depot", "secure_check", "large"),
    ("learn",),
    ("thread_cache", "thread_fork", "thread_record", "thread_tls", "cache"),
    ("api",),
)


def main() -> int:
    """Print each violation as file:line, exit 1 if there is one."""
    problems = [*python_problems(), *c_problems()]
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


def python_problems() -> list[str]:
    """Imports of later stages, and modules that no stage lists."""
    rank = {name: i for i, row in enumerate(STAGES) for name in row}
    problems = []
    for path in sorted((ROOT / "hakprof").rglob("*.py")):
        top = path.relative_to(ROOT / "hakprof").parts[0].removesuffix(".py")
        if top in {"__init__", "__main__"}:
            continue
        if top not in rank:
            problems.append(f"{path.relative_to(ROOT)}: not listed in any stage of {__file__}")
            continue
        problems += [
            f"{path.relative_to(ROOT)}:{line}: {top} must not import {other}"
            for line, other in imported_stages(path)
            if other != top and rank.get(other, -1) > rank[top]
        ]
        problems += private_subprocess(path, top)
    return problems


def imported_stages(path: Path) -> list[tuple[int, str]]:
    """(line, stage) of every hakprof module that `path` imports, at any depth of nesting."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "hakprof":
                names = [f"hakprof.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found += [(node.lineno, n.split(".")[1]) for n in names if n.startswith("hakprof.")]
    return found


def private_subprocess(path: Path, top: str) -> list[str]:
    """`process` is the only importer of subprocess."""
    if top == "process":
        return []
    return [
        f"{path.relative_to(ROOT)}: only process.py imports subprocess"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(a.name == "subprocess" for a in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "subprocess")
    ]


def c_problems() -> list[str]:
    """Includes of a higher layer among the files of core/src."""
    rank = {name: i for i, row in enumerate(C_LAYERS) for name in row}
    problems = []
    for path in sorted((ROOT / "core" / "src").glob("*.[ch]")):
        own = layer_of(path.name, rank)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            other = layer_of(Path(match[1]).name, rank)
            if own is not None and other is not None and rank[other] > rank[own]:
                problems.append(
                    f"{path.relative_to(ROOT)}:{number}: {own} must not include {other}"
                )
    return problems


def layer_of(file_name: str, rank: dict[str, int]) -> str | None:
    """The layer whose name the file's name starts with; the longest wins."""
    stem = file_name.rsplit(".", 1)[0]
    fits = [name for name in rank if stem == name or stem.startswith(name + "_")]
    return max(fits, key=len, default=None)


if __name__ == "__main__":
    sys.exit(main())
