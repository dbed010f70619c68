/* The entry points that look, tune or give back: hakmem.h's and glibc's. */
#define _GNU_SOURCE
#include "hakmem.h"

#include "config.h"
#include "events.h"
#include "large.h"
#include "learn.h"
#include "slab.h"
#include "superslab.h"
#include "thread_cache.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What waits in the BigCache (variant `learn`) is free. */
static struct hk_large_stats large_stats(void) {
    struct hk_large_stats large = hk_large_stats();
    if (hk_learn_on) {
        struct hk_learn_held held = hk_learn_held();
        large.blocks -= held.ranges;
        large.bytes -= held.range_bytes;
        large.cached += held.range_bytes;
        hk_on_seen_large(-held.ranges);
    }
    return large;
}

static struct hk_cache_stats cache_stats(void) {
    struct hk_cache_stats cache = hk_cache_stats();
    if (hk_learn_on) {
        struct hk_learn_held held = hk_learn_held();
        cache.runs += held.runs;
        cache.run_bytes += held.run_bytes;
        hk_on_seen_runs(-held.runs);
        hk_on_seen_waiting(held.runs + held.ranges);
    }
    return cache;
}

/* Everything that is known, in one reading. */
static struct hak_stats read_all(void) {
    struct hk_cache_stats cache = cache_stats();
    struct hk_slab_stats slab = hk_slab_stats();
    struct hk_superslab_stats super = hk_superslab_stats();
    struct hk_large_stats large = large_stats();
    size_t free_blocks = cache.listed_blocks + slab.listed_blocks;
    size_t small_bytes = slab.bytes - cache.listed_bytes - slab.listed_bytes;
    size_t run_bytes = super.run_bytes - cache.run_bytes;
    size_t live_blocks = slab.blocks - free_blocks + super.runs - cache.runs + large.blocks;
    return (struct hak_stats){
        .allocs = hk_stats_or(cache.counted, HK_STATS_ALLOC, cache.frees + live_blocks),
        .frees = hk_stats_or(cache.counted, HK_STATS_FREE, cache.frees),
        .live_bytes = small_bytes + run_bytes + large.bytes,
        .cached_bytes = super.used - run_bytes - small_bytes + large.cached,
        .dirty_bytes = super.dirty + large.cached,
        .mapped_bytes = super.mapped + large.bytes + large.cached,
        .peak_mapped_bytes = super.peak_mapped + large.peak,
        .threads = cache.threads,
    };
}

HK_EXPORT size_t hak_stats_read(struct hak_stats *stats, size_t size) {
    struct hak_stats all = read_all();
    size_t filled = size < sizeof all ? size : sizeof all;
    memcpy(stats, &all, filled);
    return filled;
}

HK_EXPORT int hak_trim(void) {
    return hk_cache_trim();
}

HK_EXPORT int hak_counters_dump(const char *path) {
    return hk_counters_on ? hk_counters_dump(path) : ENOSYS;
}

HK_EXPORT int hak_learn_print(int fd) {
    if (hk_learn_on) {
        hk_learn_print(fd);
    }
    return hk_learn_on ? 0 : ENOSYS;
}

HK_EXPORT void hak_config_print(int fd) {
    hk_config_write(fd);
}

/* --- glibc's ---------------------------------------------------------------------------------- */

HK_EXPORT int malloc_trim(size_t pad) {
    (void)pad;
    return hk_cache_trim();
}

/* No parameter of glibc's means anything here: none is taken, and 1 says that no error is due. */
HK_EXPORT int mallopt(int parameter, int value) {
    (void)parameter;
    (void)value;
    return 1;
}

HK_EXPORT struct mallinfo2 mallinfo2(void) {
    struct hak_stats stats = read_all();
    struct hk_large_stats large = large_stats();
    size_t arena = stats.mapped_bytes - large.bytes;
    size_t used = stats.live_bytes - large.bytes;
    return (struct mallinfo2){
        .arena = arena,
        .hblks = large.blocks,
        .hblkhd = large.bytes,
        .uordblks = used,
        .fordblks = arena - used,
        .keepcost = stats.dirty_bytes,
    };
}

static int clamp(size_t value) {
    return value > INT_MAX ? INT_MAX : (int)value;
}

HK_EXPORT struct mallinfo mallinfo(void) {
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = clamp(info.arena),
        .hblks = clamp(info.hblks),
        .hblkhd = clamp(info.hblkhd),
        .uordblks = clamp(info.uordblks),
        .fordblks = clamp(info.fordblks),
        .keepcost = clamp(info.keepcost),
    };
}

HK_EXPORT void malloc_stats(void) {
    struct hak_stats stats = read_all();
    char text[512];
    int length =
        snprintf(text, sizeof text,
                 "hakmem: %lu allocations, %lu frees, %lu threads\n"
                 "hakmem: %lu bytes live, %lu cached, %lu dirty\n"
                 "hakmem: %lu bytes mapped, %lu at most\n",
                 stats.allocs, stats.frees, stats.threads, stats.live_bytes, stats.cached_bytes,
                 stats.dirty_bytes, stats.mapped_bytes, stats.peak_mapped_bytes);
    ssize_t ignored = write(STDERR_FILENO, text, (size_t)length);
    (void)ignored;
}

HK_EXPORT int malloc_info(int options, FILE *stream) {
    if (options != 0) {
        return -1;
    }
    struct hak_stats stats = read_all();
    int written =
        fprintf(stream,
                "<malloc version=\"hakmem-1\">\n"
                "<total type=\"live\" size=\"%lu\"/>\n"
                "<total type=\"cached\" size=\"%lu\"/>\n"
                "<system type=\"current\" size=\"%lu\"/>\n"
                "<system type=\"max\" size=\"%lu\"/>\n"
                "</malloc>\n",
                stats.live_bytes, stats.cached_bytes, stats.mapped_bytes, stats.peak_mapped_bytes);
    return written < 0 ? -1 : 0;
}
