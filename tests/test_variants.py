"""The research variants leave no trace in the release."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Compile = Callable[..., Path]
SOURCES = Path(__file__).resolve().parent.parent / "core"
VARIANT_FILES = (
    "bitmap.h",
    *("cache_magazine.h", "cache_magazine.c", "depot.h", "depot.c", "slab_array.c"),
    *("learn.h", "learn.c", "learn_bandit.h", "learn_bandit.c", "learn_config.h", "learn_config.c"),
    *("learn_life.h", "learn_life.c", "learn_modules.h", "learn_modules.c"),
    *("learn_sites.h", "learn_sites.c", "learn_state.h", "learn_state.c"),
    "region_header.h",
    "registry.h",
    "registry.c",
    "thread_stats.h",
    "thread_stats.c",
    "secure.h",
    "secure.c",
    "secure_check.c",
    "secure_guard.c",
)
# What the hooks of the variants stand for in the release.
WITHOUT_VARIANTS = """
#define HK_HEADER_BYTES 0
#define HK_HEADER_SKIPPED 0
#define HK_HEADER_CODES HK_CODES
#define hk_header_on 0
#define tiny_region_id_write_header(block, cls) (block)
#define hk_header_code_of(block) hk_code_of(block)
#define hk_header_check(block, code) ((void)0)
#define hk_header_next_batch(batch) NULL
#define hk_header_set_next_batch(batch, next) ((void)0)
#define HK_LEARN 0
#define hk_learn_on 0
struct hk_site {};
#define hk_site_of(address) ((struct hk_site){})
struct hk_learn_visit { int nothing; };
#define hk_learn_reuse(site, size, alignment, visit) NULL
#define hk_learn_mapped(visit, block, size, fresh) ((void)0)
#define hk_learn_take(block, code) false
#define hk_learn_resize(block, size) NULL
struct hk_learn_held { size_t runs, run_bytes, ranges, range_bytes; };
#define hk_learn_held() ((struct hk_learn_held){0})
#define hk_learn_read_variable(assignment) false
#define hk_learn_config_text(at) (at)
#define hk_learn_start() ((void)0)
#define hk_learn_print(fd) ((void)0)
#define hk_learn_tick() ((void)0)
#define hk_learn_trim() false
#define hk_learn_locks(visit) ((void)0)
#define hk_bitmap_on 0
#define HK_BITMAPS 0
struct hk_bitmap { int none; };
#define hk_bitmap_count(bitmap) 0
#define hk_registry_on 0
#define hk_registry_code_of(address) 0
#define hk_registry_set(address, units, code) true
#define hk_registry_change(address, code) ((void)0)
#define hk_registry_locks(visit) ((void)0)
enum hk_stats_count { HK_STATS_ALLOC, HK_STATS_FREE };
#define hk_stats_on 0
#define HK_STATS_COUNTS 0
#define hk_stats_fold(counted) ((void)0)
#define hk_stats_add(sums, counted) ((void)0)
#define hk_stats_or(counted, which, derived) (derived)
#define HK_SECURE 0
#define hk_secure_on 0
#define HK_SECURE_BYTES 0
#define HK_SECURE_SMALLEST 0
#define hk_secure_may_give(block) true
#define hk_secure_push(block, cls, list) true
#define hk_secure_taken(block) ((void)0)
#define hk_secure_set_next(block, next) ((void)0)
#define hk_secure_given(block, cls) ((void)0)
#define hk_secure_look_at_freed(block, cls) ((void)0)
#define hk_secure_set_end(block, bytes) ((void)0)
#define hk_secure_run_given(block, bytes) ((void)0)
#define hk_secure_run_freed(block, bytes) ((void)0)
#define hk_secure_look_at_live(block, bytes) ((void)0)
#define hk_secure_cut(start, blocks, size) NULL
#define hk_secure_next_batch(batch) NULL
#define hk_secure_batch_taken(batch) ((void)0)
#define hk_secure_set_next_batch(batch, next) ((void)0)
#define hk_secure_map(bytes, alignment) NULL
#define hk_secure_unmap(start, bytes) true
#define hk_secure_shorten(start, bytes, kept) true
#define hk_secure_abandon(start, bytes, slack) ((void)0)
#define hk_secure_large_use(start, bytes, all) (bytes)
#define hk_secure_large_look(start, bytes, message) ((void)0)
#define hk_secure_large_freed(start, bytes, slack) ((void)0)
#define hk_secure_large_taken(start) ((void)0)
#define hk_secure_start() ((void)0)
#define hk_secure_tell_ends(ends) ((void)0)
#define hk_secure_zero_on_free() ((void)0)
"""


def without_variants(folder: Path) -> None:
    """Take every file of a variant away; what is left is a source that knows of none."""
    hooks = 0
    for name in VARIANT_FILES:
        (folder / name).unlink()
    names = "|".join(map(re.escape, VARIANT_FILES))
    for path in folder.glob("*.[ch]"):
        text, found = re.subn(f'#include "({names})"\n', "", path.read_text())
        path.write_text(text)
        hooks += found
    assert hooks > 1
    with (folder / "base.h").open("a") as base:
        base.write(f"#ifndef HK_WITHOUT_VARIANTS\n#define HK_WITHOUT_VARIANTS\n{WITHOUT_VARIANTS}")
        base.write("#endif\n")


def machine_code(library: Path) -> bytes:
    """The code of a library, as it would be loaded."""
    code = library.with_suffix(".text")
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", library, code], check=True)
    return code.read_bytes()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_release_is_the_same_code_without_the_variants(
    compiler: str, tmp_path: Path, compile_release: Compile
) -> None:
    if shutil.which(compiler) is None or shutil.which("objcopy") is None:
        pytest.skip(f"{compiler} or objcopy is missing")
    alone = tmp_path / "src"
    shutil.copytree(SOURCES / "src", alone)
    without_variants(alone)
    released = machine_code(compile_release(compiler, SOURCES / "src", tmp_path / "with.so"))
    assert len(released) > 10_000
    assert released == machine_code(compile_release(compiler, alone, tmp_path / "without.so"))
