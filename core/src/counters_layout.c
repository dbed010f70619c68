/* Made by scripts/generate_counters.py from counters/hakmem.toml; not edited by hand. */
/* clang-format off */
#include "counters_layout.h"

#include <stddef.h>

static const struct hk_axis hk_class_axis = {105, NULL};
static const char *const hk_stage_members[] = {
    "spare",
    "central",
    "partial",
    "carve",
    "recycled",
    "superslab",
    "mmap",
};
static const struct hk_axis hk_stage_axis = {7, hk_stage_members};
static const char *const hk_early_members[] = {
    "cache_empty",
    "no_room",
    "size_zero",
    "size_run",
    "size_large",
    "size_absurd",
    "bad_alignment",
    "no_thread",
    "dead_thread",
    "booting",
    "null",
    "foreign",
    "central_full",
    "no_memory",
};
static const struct hk_axis hk_early_axis = {14, hk_early_members};
static const char *const hk_os_call_members[] = {
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "purge",
    "huge",
};
static const struct hk_axis hk_os_call_axis = {6, hk_os_call_members};
static const char *const hk_lock_kind_members[] = {
    "class",
    "superslab",
    "large",
    "threads",
    "meta",
};
static const struct hk_axis hk_lock_kind_axis = {5, hk_lock_kind_members};

const struct hk_counter_row hk_counter_rows[] = {
    {"cache_hit", 0, &hk_class_axis, NULL},
    {"refill_served", 105, &hk_class_axis, NULL},
    {"requested_bytes", 210, &hk_class_axis, NULL},
    {"run_alloc", 315, NULL, NULL},
    {"run_requested_bytes", 316, NULL, NULL},
    {"run_given_bytes", 317, NULL, NULL},
    {"large_alloc", 318, NULL, NULL},
    {"large_requested_bytes", 319, NULL, NULL},
    {"large_given_bytes", 320, NULL, NULL},
    {"alloc_failed", 321, NULL, NULL},
    {"calloc", 322, NULL, NULL},
    {"aligned", 323, NULL, NULL},
    {"realloc_in_place", 324, NULL, NULL},
    {"realloc_moved", 325, NULL, NULL},
    {"early_return", 326, &hk_early_axis, NULL},
    {"stage_attempt", 340, &hk_stage_axis, &hk_class_axis},
    {"stage_success", 1075, &hk_stage_axis, &hk_class_axis},
    {"stage_block", 1810, &hk_stage_axis, &hk_class_axis},
    {"stage_cycle", 2545, &hk_stage_axis, NULL},
    {"carved", 2552, &hk_class_axis, NULL},
    {"tls_sll", 2657, &hk_class_axis, NULL},
    {"tls_sll_overflow", 2762, &hk_class_axis, NULL},
    {"threadless_free", 2867, &hk_class_axis, NULL},
    {"run_free", 2972, NULL, NULL},
    {"run_freed_bytes", 2973, NULL, NULL},
    {"large_free", 2974, NULL, NULL},
    {"large_freed_bytes", 2975, NULL, NULL},
    {"overflow", 2976, &hk_class_axis, NULL},
    {"cap_grown", 3081, &hk_class_axis, NULL},
    {"central_list", 3186, &hk_class_axis, NULL},
    {"central_block", 3291, &hk_class_axis, NULL},
    {"central_full_block", 3396, &hk_class_axis, NULL},
    {"central_drained_block", 3501, &hk_class_axis, NULL},
    {"ss_local", 3606, &hk_class_axis, NULL},
    {"ss_remote", 3711, &hk_class_axis, NULL},
    {"slab_opened", 3816, &hk_class_axis, NULL},
    {"slab_retired", 3921, &hk_class_axis, NULL},
    {"retired_block", 4026, &hk_class_axis, NULL},
    {"superslab_mapped", 4131, NULL, NULL},
    {"superslab_emptied", 4132, NULL, NULL},
    {"superslab_claimed", 4133, NULL, NULL},
    {"superslab_unmapped", 4134, NULL, NULL},
    {"large_mapped", 4135, NULL, NULL},
    {"large_reused", 4136, NULL, NULL},
    {"large_cached", 4137, NULL, NULL},
    {"large_unmapped", 4138, NULL, NULL},
    {"large_mapped_bytes", 4139, NULL, NULL},
    {"large_unmapped_bytes", 4140, NULL, NULL},
    {"os_call", 4141, &hk_os_call_axis, NULL},
    {"os_call_failed", 4147, &hk_os_call_axis, NULL},
    {"os_call_bytes", 4153, &hk_os_call_axis, NULL},
    {"purge_round", 4159, NULL, NULL},
    {"purge_call", 4160, NULL, NULL},
    {"purge_bytes", 4161, NULL, NULL},
    {"trim", 4162, NULL, NULL},
    {"lock_wait", 4163, &hk_lock_kind_axis, NULL},
    {"thread_started", 4168, NULL, NULL},
    {"thread_exited", 4169, NULL, NULL},
};
const uint32_t hk_counter_row_count = 58;

const struct hk_counter_row hk_gauge_rows[] = {
    {"superslab_live", 0, NULL, NULL},
    {"superslab_live_peak", 1, NULL, NULL},
    {"looks", 2, NULL, NULL},
    {"derived_alloc", 3, NULL, NULL},
    {"derived_free", 4, NULL, NULL},
    {"live_bytes", 5, NULL, NULL},
    {"cached_bytes", 6, NULL, NULL},
    {"dirty_bytes", 7, NULL, NULL},
    {"mapped_bytes", 8, NULL, NULL},
    {"peak_mapped_bytes", 9, NULL, NULL},
    {"cached_block", 10, &hk_class_axis, NULL},
    {"thread_live", 115, NULL, NULL},
    {"batch_block", 116, &hk_class_axis, NULL},
    {"slab_used_block", 221, &hk_class_axis, NULL},
    {"slab_free_block", 326, &hk_class_axis, NULL},
    {"slab_live", 431, &hk_class_axis, NULL},
    {"run_live", 536, NULL, NULL},
    {"large_live", 537, NULL, NULL},
};
const uint32_t hk_gauge_row_count = 18;

const char hk_layout_text[] =
    "{\"schema\":\"hakmem\",\"version\":1,\"hash\":\"fdb71e004d451a53\",\"axes\":{\"class\":105,\"st"
    "age\":[\"spare\",\"central\",\"partial\",\"carve\",\"recycled\",\"superslab\",\"mmap\"],\"early\""
    ":[\"cache_empty\",\"no_room\",\"size_zero\",\"size_run\",\"size_large\",\"size_absurd\",\"bad"
    "_alignment\",\"no_thread\",\"dead_thread\",\"booting\",\"null\",\"foreign\",\"central_full\","
    "\"no_memory\"],\"os_call\":[\"mmap\",\"munmap\",\"mremap\",\"mprotect\",\"purge\",\"huge\"],\"loc"
    "k_kind\":[\"class\",\"superslab\",\"large\",\"threads\",\"meta\"]},\"counters\":[[\"cache_hit\""
    ",[\"class\"]],[\"refill_served\",[\"class\"]],[\"requested_bytes\",[\"class\"]],[\"run_allo"
    "c\",[]],[\"run_requested_bytes\",[]],[\"run_given_bytes\",[]],[\"large_alloc\",[]],[\"la"
    "rge_requested_bytes\",[]],[\"large_given_bytes\",[]],[\"alloc_failed\",[]],[\"calloc\","
    "[]],[\"aligned\",[]],[\"realloc_in_place\",[]],[\"realloc_moved\",[]],[\"early_return\","
    "[\"early\"]],[\"stage_attempt\",[\"stage\",\"class\"]],[\"stage_success\",[\"stage\",\"class\""
    "]],[\"stage_block\",[\"stage\",\"class\"]],[\"stage_cycle\",[\"stage\"]],[\"carved\",[\"class"
    "\"]],[\"tls_sll\",[\"class\"]],[\"tls_sll_overflow\",[\"class\"]],[\"threadless_free\",[\"cl"
    "ass\"]],[\"run_free\",[]],[\"run_freed_bytes\",[]],[\"large_free\",[]],[\"large_freed_by"
    "tes\",[]],[\"overflow\",[\"class\"]],[\"cap_grown\",[\"class\"]],[\"central_list\",[\"class\""
    "]],[\"central_block\",[\"class\"]],[\"central_full_block\",[\"class\"]],[\"central_draine"
    "d_block\",[\"class\"]],[\"ss_local\",[\"class\"]],[\"ss_remote\",[\"class\"]],[\"slab_opened"
    "\",[\"class\"]],[\"slab_retired\",[\"class\"]],[\"retired_block\",[\"class\"]],[\"superslab_"
    "mapped\",[]],[\"superslab_emptied\",[]],[\"superslab_claimed\",[]],[\"superslab_unmapp"
    "ed\",[]],[\"large_mapped\",[]],[\"large_reused\",[]],[\"large_cached\",[]],[\"large_unma"
    "pped\",[]],[\"large_mapped_bytes\",[]],[\"large_unmapped_bytes\",[]],[\"os_call\",[\"os_"
    "call\"]],[\"os_call_failed\",[\"os_call\"]],[\"os_call_bytes\",[\"os_call\"]],[\"purge_rou"
    "nd\",[]],[\"purge_call\",[]],[\"purge_bytes\",[]],[\"trim\",[]],[\"lock_wait\",[\"lock_kin"
    "d\"]],[\"thread_started\",[]],[\"thread_exited\",[]]],\"gauges\":[[\"superslab_live\",[]]"
    ",[\"superslab_live_peak\",[]],[\"looks\",[]],[\"derived_alloc\",[]],[\"derived_free\",[]"
    "],[\"live_bytes\",[]],[\"cached_bytes\",[]],[\"dirty_bytes\",[]],[\"mapped_bytes\",[]],["
    "\"peak_mapped_bytes\",[]],[\"cached_block\",[\"class\"]],[\"thread_live\",[]],[\"batch_bl"
    "ock\",[\"class\"]],[\"slab_used_block\",[\"class\"]],[\"slab_free_block\",[\"class\"]],[\"sl"
    "ab_live\",[\"class\"]],[\"run_live\",[]],[\"large_live\",[]]]}";
const uint32_t hk_layout_text_bytes = sizeof(hk_layout_text) - 1;
