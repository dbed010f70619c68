/* Made by scripts/generate_counters.py from counters/hakmem.toml; not edited by hand. */
/* clang-format off */
#include "counters_layout.h"

#include <stddef.h>

static const struct hk_axis hk_class_axis = {113, NULL};
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
    {"refill_served", 113, &hk_class_axis, NULL},
    {"requested_bytes", 226, &hk_class_axis, NULL},
    {"run_alloc", 339, NULL, NULL},
    {"run_requested_bytes", 340, NULL, NULL},
    {"run_given_bytes", 341, NULL, NULL},
    {"large_alloc", 342, NULL, NULL},
    {"large_requested_bytes", 343, NULL, NULL},
    {"large_given_bytes", 344, NULL, NULL},
    {"alloc_failed", 345, NULL, NULL},
    {"calloc", 346, NULL, NULL},
    {"aligned", 347, NULL, NULL},
    {"realloc_in_place", 348, NULL, NULL},
    {"realloc_moved", 349, NULL, NULL},
    {"early_return", 350, &hk_early_axis, NULL},
    {"stage_attempt", 364, &hk_stage_axis, &hk_class_axis},
    {"stage_success", 1155, &hk_stage_axis, &hk_class_axis},
    {"stage_block", 1946, &hk_stage_axis, &hk_class_axis},
    {"stage_cycle", 2737, &hk_stage_axis, NULL},
    {"carved", 2744, &hk_class_axis, NULL},
    {"tls_sll", 2857, &hk_class_axis, NULL},
    {"tls_sll_overflow", 2970, &hk_class_axis, NULL},
    {"threadless_free", 3083, &hk_class_axis, NULL},
    {"run_free", 3196, NULL, NULL},
    {"run_freed_bytes", 3197, NULL, NULL},
    {"large_free", 3198, NULL, NULL},
    {"large_freed_bytes", 3199, NULL, NULL},
    {"overflow", 3200, &hk_class_axis, NULL},
    {"cap_grown", 3313, &hk_class_axis, NULL},
    {"central_list", 3426, &hk_class_axis, NULL},
    {"central_block", 3539, &hk_class_axis, NULL},
    {"central_full_block", 3652, &hk_class_axis, NULL},
    {"central_drained_block", 3765, &hk_class_axis, NULL},
    {"ss_local", 3878, &hk_class_axis, NULL},
    {"ss_remote", 3991, &hk_class_axis, NULL},
    {"slab_opened", 4104, &hk_class_axis, NULL},
    {"slab_retired", 4217, &hk_class_axis, NULL},
    {"retired_block", 4330, &hk_class_axis, NULL},
    {"superslab_mapped", 4443, NULL, NULL},
    {"superslab_emptied", 4444, NULL, NULL},
    {"superslab_claimed", 4445, NULL, NULL},
    {"superslab_unmapped", 4446, NULL, NULL},
    {"large_mapped", 4447, NULL, NULL},
    {"large_reused", 4448, NULL, NULL},
    {"large_cached", 4449, NULL, NULL},
    {"large_unmapped", 4450, NULL, NULL},
    {"large_mapped_bytes", 4451, NULL, NULL},
    {"large_unmapped_bytes", 4452, NULL, NULL},
    {"os_call", 4453, &hk_os_call_axis, NULL},
    {"os_call_failed", 4459, &hk_os_call_axis, NULL},
    {"os_call_bytes", 4465, &hk_os_call_axis, NULL},
    {"purge_round", 4471, NULL, NULL},
    {"purge_call", 4472, NULL, NULL},
    {"purge_bytes", 4473, NULL, NULL},
    {"trim", 4474, NULL, NULL},
    {"lock_wait", 4475, &hk_lock_kind_axis, NULL},
    {"thread_started", 4480, NULL, NULL},
    {"thread_exited", 4481, NULL, NULL},
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
    {"thread_live", 123, NULL, NULL},
    {"batch_block", 124, &hk_class_axis, NULL},
    {"slab_used_block", 237, &hk_class_axis, NULL},
    {"slab_free_block", 350, &hk_class_axis, NULL},
    {"slab_live", 463, &hk_class_axis, NULL},
    {"run_live", 576, NULL, NULL},
    {"large_live", 577, NULL, NULL},
};
const uint32_t hk_gauge_row_count = 18;

const char hk_layout_text[] =
    "{\"schema\":\"hakmem\",\"version\":1,\"hash\":\"4d06b4535ce465cf\",\"axes\":{\"class\":113,\"st"
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
