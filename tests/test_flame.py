"""Pictures and formats of stacks. The page is tried in a real browser where there is one."""

import gzip
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hakprof.cli import main as cli
from hakprof.hotspots import flame
from hakprof.hotspots.flame import Flame, tree
from hakprof.render import flame_formats, flame_html, flame_text

STACKS = {
    ("main", "work", "malloc"): 30.0,
    ("main", "work", "free"): 20.0,
    ("main", "work"): 40.0,
    ("main", "</script>&<b>"): 10.0,
}
SHOWN = Flame("a & b <run>", "instructions", "exact", STACKS)
BEFORE = Flame("before", "instructions", "exact", {("main", "work"): 5.0, ("main", "gone"): 5.0})
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def test_the_tree_adds_up() -> None:
    root = tree(SHOWN)
    assert root.weight == 100.0
    assert root.children["main"].children["work"].weight == 90.0
    both = tree(SHOWN, BEFORE)
    work = both.children["main"].children["work"]
    assert (work.weight, work.before) == pytest.approx((0.9, 0.5))
    assert both.children["main"].children["gone"].weight == 0.0


def test_stacks_of_a_trace_are_those_of_its_calls_however_deep() -> None:
    steps, turns = [0, 1, 2, 3, 1, 4], [0, 1, 0, -1, 1, 0]
    counts, callers = flame._calls(steps, turns)  # noqa: SLF001 - no real trace is as deep
    assert counts == {(0, 0): 1, (0, 1): 2, (1, 2): 1, (1, 3): 1, (1, 4): 1}
    assert callers[1:] == [(0, 1)]
    deep = 2 * flame.MAX_DEPTH
    counts, callers = flame._calls(  # noqa: SLF001
        [1] * deep + [3] * deep + [5], [1] * deep + [-1] * deep + [0]
    )
    assert len(callers) == flame.MAX_DEPTH
    assert counts[0, 5] == 1  # out of all of them again
    assert counts.total() == 2 * deep + 1


def test_collapsed_and_speedscope() -> None:
    assert "main;work;malloc 30\n" in flame_formats.collapsed(SHOWN)
    document = json.loads(flame_formats.speedscope(SHOWN))
    (profile,) = document["profiles"]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    stacks = {tuple(names[i] for i in sample) for sample in profile["samples"]}
    assert stacks == set(STACKS)
    assert sum(profile["weights"]) == profile["endValue"] == 100.0


def test_firefox() -> None:
    document = json.loads(flame_formats.firefox(SHOWN))
    (thread,) = document["threads"]
    stacks, names = thread["stackTable"], thread["stringArray"]
    found = {}
    for end, weight in zip(thread["samples"]["stack"], thread["samples"]["weight"], strict=True):
        stack: list[str] = []
        at = end
        while at is not None:
            function = thread["frameTable"]["func"][stacks["frame"][at]]
            stack.append(names[thread["funcTable"]["name"][function]])
            at = stacks["prefix"][at]
        found[tuple(reversed(stack))] = float(weight)
    assert found == STACKS
    for table in ("samples", "stackTable", "frameTable", "funcTable"):
        columns = [c for c in thread[table].values() if isinstance(c, list)]
        assert {len(column) for column in columns} == {thread[table]["length"]}


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """A protobuf message as (field, value)."""
    found: list[tuple[int, int | bytes]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        else:
            size = varint()
            found.append((key >> 3, data[at : at + size]))
            at += size
    return found


def _numbers(packed: int | bytes) -> list[int]:
    assert isinstance(packed, bytes)
    wrapped = b"".join(struct.pack("B", 8) + bytes([b]) for b in packed if b < 0x80)
    return [int(value) for _, value in _fields(wrapped)]


def test_pprof() -> None:
    fields = _fields(gzip.decompress(flame_formats.pprof(SHOWN)))
    strings = [bytes(value).decode() for key, value in fields if key == 6]
    functions = {}
    for key, value in fields:
        if key == 5:
            function = dict(_fields(bytes(value)))
            functions[function[1]] = strings[int(function[2])]
    found = {}
    for key, value in fields:
        if key == 2:
            sample = dict(_fields(bytes(value)))
            stack = tuple(functions[i] for i in reversed(_numbers(sample[1])))
            found[stack] = float(_numbers(sample[2])[0])
    assert strings[0] == ""
    assert found == STACKS


def test_the_terminal_shows_widths() -> None:
    shown = flame_text.render(SHOWN, None, width=100, colour=False)
    lines = shown.splitlines()
    assert lines[1].startswith("|all-")
    assert len(lines[1]) == 100
    assert "|malloc---" in shown
    assert "\x1b" not in shown
    assert "\x1b[97;41m" in flame_text.render(SHOWN, BEFORE, width=100, colour=True)


def test_the_page_holds_no_foreign_markup() -> None:
    page = flame_html.render(SHOWN)
    assert "</script>&<b>" not in page
    assert "a &amp; b &lt;run&gt;" in page
    assert not re.search(r"(src|href)=|https?://", page)


def test_deep_stacks_make_a_page() -> None:
    deep = tuple(f"f{i}" for i in range(600))
    assert "f599" in flame_html.render(Flame("deep", "ns", "sampled", {deep: 1.0}))


SCRIPT = """<script>
const names = () => [...document.querySelectorAll(".frame")].map((f) => f.textContent);
const say = (what) => { document.body.dataset[what[0]] = JSON.stringify(what[1]); };
say(["start", names()]);
const box = document.getElementById("search");
box.value = "^mal"; box.dispatchEvent(new Event("input"));
say(["matched", document.getElementById("matched").textContent]);
say(["hits", document.querySelectorAll(".hit").length]);
box.value = "("; box.dispatchEvent(new Event("input"));
box.value = ""; box.dispatchEvent(new Event("input"));
[...document.querySelectorAll(".frame")].find((f) => f.textContent === "work").click();
say(["zoomed", names()]);
document.getElementById("reset").click();
say(["reset", names()]);
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_search_and_zoom_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "flame.html"
    page.write_text(flame_html.render(SHOWN).replace("</body>", f"{SCRIPT}</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,600"]
    options = [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    shown = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=True, timeout=600
    ).stdout
    said = {
        key: json.loads(value.replace("&quot;", '"').replace("&lt;", "<").replace("&amp;", "&"))
        for key, value in re.findall(r'data-(\w+)="([^"]*)"', shown)
    }
    assert {"all", "main", "work", "malloc", "free"} <= set(said["start"])
    assert said["matched"] == "matched 30.00 %"
    assert said["hits"] == 1
    assert set(said["zoomed"]) == {"all", "main", "work", "malloc", "free"}
    assert len(said["reset"]) == len(said["start"])


def test_the_command_writes_all_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path / "home"))
    for _ in range(2):
        words = ["bench_random_mixed", "--alloc", "glibc", "--source", "stepper"]
        assert cli.main(["record", *words]) == 0
    names = ("html", "collapsed", "speedscope", "firefox", "pprof")
    files = {name: tmp_path / name for name in names}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert cli.main(["flame", "1", *options]) == 0
    assert all(path.stat().st_size > 100 for path in files.values())
    stacks = files["collapsed"].read_text().splitlines()
    assert any(";bench_roi;work;malloc" in line for line in stacks)
    assert cli.main(["flame", "--diff", "1", "2", "--html", str(files["html"])]) == 0
    assert "has a larger share" in files["html"].read_text()
    assert cli.main(["flame"]) == 0
    assert cli.main(["flame", "--diff", "1"]) == 2
    assert cli.main(["flame", "1", "2"]) == 2
