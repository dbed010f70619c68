"""Turn counters/hakmem.toml into the C side and the reference page, or check that they are current.

    scripts/generate_counters.py           write core/src/counters_layout.[ch] and docs/counters.md
    scripts/generate_counters.py --check   exit 1 if one of them differs

The words of a thread's block follow the order of the file: every counter is a row-major array of
64-bit words over its axes.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hakprof.counters.layout import Axis, Field, Layout, is_gauge, layout_of  # noqa: E402
from hakprof.schema import Schema, load  # noqa: E402

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def main() -> int:
    """Write what differs; with --check only say so."""
    schema = load(ROOT / "counters" / "hakmem.toml")
    layout = layout_of(schema)
    page = ROOT / "docs" / "counters.md"
    before, rest = page.read_text().split(BEGIN)
    outputs = {
        ROOT / "core" / "src" / "counters_layout.h": c_header(schema, layout),
        ROOT / "core" / "src" / "counters_layout.c": c_source(layout),
        page: before + BEGIN + "\n\n" + reference(schema, layout) + END + rest.split(END)[1],
    }
    stale = [
        path for path, text in outputs.items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(
                f"{path.relative_to(ROOT)} is stale: run scripts/generate_counters.py\n"
            )
        return 1 if stale else 0
    for path in stale:
        path.write_text(outputs[path])
    return 0


NOTICE = (
    "/* Made by scripts/generate_counters.py from counters/hakmem.toml; not edited by hand. */\n"
    "/* clang-format off */\n"
)


def c_header(schema: Schema, layout: Layout) -> str:
    """The axes as enums, the counters of a thread and the gauges of the process as structs."""
    lines = [NOTICE + "#ifndef HK_COUNTERS_LAYOUT_H", "#define HK_COUNTERS_LAYOUT_H", ""]
    lines += ["#include <stdint.h>", ""]
    for axis in layout.axes.values():
        lines += [*c_axis(axis, schema.extra["axis"][axis.name]), ""]
    for title, name, fields in (
        ("What one thread counts.", "hk_counts", layout.counters),
        ("What is known of the process as a whole.", "hk_gauges", layout.gauges),
    ):
        lines += [f"/* {title} */", f"struct {name} {{"]
        lines += [f"    uint64_t {f.name}{_brackets(f)};" for f in fields.values()]
        lines += ["};", ""]
    lines += [f"enum {{ HK_COUNT_WORDS = {layout.counter_words},"]
    lines += [f"       HK_GAUGE_WORDS = {layout.gauge_words} }};", "", _ROWS, "#endif", ""]
    return "\n".join(lines)


def c_axis(axis: Axis, row: dict[str, Any]) -> list[str]:
    """An enum of the axis's members, each with its meaning; a limit where they are only numbers."""
    if not axis.members:
        return [
            f"/* {row['meaning']} */",
            f"enum {{ HK_{axis.name.upper()}_LIMIT = {axis.size} }};",
        ]
    prefix = row["prefix"]
    lines = [f"/* {row['meaning']} */", f"enum hk_{axis.name} {{"]
    for member, meaning in row["members"].items():
        lines.append(f"    {prefix}_{member.upper()}, /* {meaning} */")
    return [*lines, f"    {prefix}_COUNT", "};"]


_ROWS = """\
/* An axis; `member` is NULL where the members are only numbers. */
struct hk_axis {
    uint32_t size;
    const char *const *member;
};

/* One counter or gauge: its first word, and its axes, outermost first (NULL: none). */
struct hk_counter_row {
    const char *name;
    uint32_t word;
    const struct hk_axis *outer, *inner;
};

extern const struct hk_counter_row hk_counter_rows[];
extern const uint32_t hk_counter_row_count;
extern const struct hk_counter_row hk_gauge_rows[];
extern const uint32_t hk_gauge_row_count;

/* The layout as JSON: what a reader of another version needs to make sense of the words. */
extern const char hk_layout_text[];
extern const uint32_t hk_layout_text_bytes;
"""


def c_source(layout: Layout) -> str:
    """Rows for the JSON dump, and the layout text that every dump carries."""
    lines = [NOTICE + '#include "counters_layout.h"', "", "#include <stddef.h>", ""]
    for axis in layout.axes.values():
        members = "NULL"
        if axis.members:
            members = f"hk_{axis.name}_members"
            lines.append(f"static const char *const {members}[] = {{")
            lines += [f'    "{member}",' for member in axis.members]
            lines.append("};")
        lines.append(
            f"static const struct hk_axis hk_{axis.name}_axis = {{{axis.size}, {members}}};"
        )
    for kind, fields in (("counter", layout.counters), ("gauge", layout.gauges)):
        lines += ["", f"const struct hk_counter_row hk_{kind}_rows[] = {{"]
        for field in fields.values():
            axes = [f"&hk_{axis.name}_axis" for axis in field.axes]
            outer, inner = [*axes, "NULL", "NULL"][:2]
            lines.append(f'    {{"{field.name}", {field.word}, {outer}, {inner}}},')
        lines += ["};", f"const uint32_t hk_{kind}_row_count = {len(fields)};"]
    text = json.dumps(layout.document(), separators=(",", ":"))
    lines += ["", "const char hk_layout_text[] ="]
    lines += ["    " + json.dumps(text[at : at + 80]) for at in range(0, len(text), 80)]
    lines[-1] += ";"
    lines += ["const uint32_t hk_layout_text_bytes = sizeof(hk_layout_text) - 1;", ""]
    return "\n".join(lines)


def _brackets(field: Field) -> str:
    return "".join(f"[{size}]" for size in field.shape)


def reference(schema: Schema, layout: Layout) -> str:
    """The reference: axes, counters and gauges by stage, identities."""
    lines = [f"Schema `{schema.name}` version {schema.version}, layout `{layout.digest}`.", ""]
    for axis in layout.axes.values():
        row = schema.extra["axis"][axis.name]
        lines += [f"### Axis `{axis.name}`", "", f"{row['meaning']}.", ""]
        if axis.members:
            lines += ["| member | meaning |", "|---|---|"]
            lines += [f"| `{name}` | {meaning} |" for name, meaning in row["members"].items()]
            lines.append("")
    for title, gauges in (("Counters", False), ("Gauges", True)):
        lines += [f"### {title}", "", "| stage | name | by | unit | meaning | layer |"]
        lines.append("|---|---|---|---|---|---|")
        lines += [
            f"| {c.stage} | `{c.name}` | {', '.join(c.extra.get('by', []))} | {c.unit} "
            f"| {c.meaning} | {c.layer} |"
            for c in schema.counters.values()
            if is_gauge(c) == gauges
        ]
        lines.append("")
    lines += ["### Identities", "", "| name | rule |", "|---|---|"]
    lines += [f"| {name} | `{rule}` |" for name, rule in schema.identities.items()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
