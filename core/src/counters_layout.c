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
static const char *const hk_learned_members[] = {
    "reused",
    "missed",
    "kept",
    "let_go",
    "returned",
    "epoch",
    "tried",
    "frozen",
    "shifted",
};
static const struct hk_axis hk_learned_axis = {9, hk_learned_members};
static const char *const hk_os_call_members[] = {
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "purge",
    "huge",
    "look",
};
static const struct hk_axis hk_os_call_axis = {7, hk_os_call_members};
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
    {"reused_own", 2737, &hk_class_axis, NULL},
    {"reused_other", 2850, &hk_class_axis, NULL},
    {"stage_cycle", 2963, &hk_stage_axis, NULL},
    {"carved", 2970, &hk_class_axis, NULL},
    {"tls_sll", 3083, &hk_class_axis, NULL},
    {"tls_sll_overflow", 3196, &hk_class_axis, NULL},
    {"threadless_free", 3309, &hk_class_axis, NULL},
    {"run_free", 3422, NULL, NULL},
    {"run_freed_bytes", 3423, NULL, NULL},
    {"large_free", 3424, NULL, NULL},
    {"large_freed_bytes", 3425, NULL, NULL},
    {"overflow", 3426, &hk_class_axis, NULL},
    {"cap_grown", 3539, &hk_class_axis, NULL},
    {"central_list", 3652, &hk_class_axis, NULL},
    {"central_block", 3765, &hk_class_axis, NULL},
    {"central_full_block", 3878, &hk_class_axis, NULL},
    {"central_drained_block", 3991, &hk_class_axis, NULL},
    {"ss_local", 4104, &hk_class_axis, NULL},
    {"ss_remote", 4217, &hk_class_axis, NULL},
    {"slab_opened", 4330, &hk_class_axis, NULL},
    {"slab_retired", 4443, &hk_class_axis, NULL},
    {"retired_block", 4556, &hk_class_axis, NULL},
    {"superslab_mapped", 4669, NULL, NULL},
    {"superslab_emptied", 4670, NULL, NULL},
    {"superslab_claimed", 4671, NULL, NULL},
    {"superslab_unmapped", 4672, NULL, NULL},
    {"large_mapped", 4673, NULL, NULL},
    {"large_reused", 4674, NULL, NULL},
    {"large_cached", 4675, NULL, NULL},
    {"large_unmapped", 4676, NULL, NULL},
    {"large_mapped_bytes", 4677, NULL, NULL},
    {"large_unmapped_bytes", 4678, NULL, NULL},
    {"os_call", 4679, &hk_os_call_axis, NULL},
    {"os_call_failed", 4686, &hk_os_call_axis, NULL},
    {"os_call_bytes", 4693, &hk_os_call_axis, NULL},
    {"purge_round", 4700, NULL, NULL},
    {"purge_call", 4701, NULL, NULL},
    {"purge_bytes", 4702, NULL, NULL},
    {"learned", 4703, &hk_learned_axis, NULL},
    {"trim", 4712, NULL, NULL},
    {"lock_wait", 4713, &hk_lock_kind_axis, NULL},
    {"thread_started", 4718, NULL, NULL},
    {"thread_exited", 4719, NULL, NULL},
};
const uint32_t hk_counter_row_count = 61;

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
    {"learn_waiting", 578, NULL, NULL},
};
const uint32_t hk_gauge_row_count = 19;

const char hk_layout_text[] =
    "{\"schema\":\"hakmem\",\"version\":1,\"hash\":\"6da09e23caf8084c\",\"axes\":{\"class\":113,\"st"
    "age\":[\"spare\",\"central\",\"partial\",\"carve\",\"recycled\",\"superslab\",\"mmap\"],\"early\""
    ":[\"cache_empty\",\"no_room\",\"size_zero\",\"size_run\",\"size_large\",\"size_absurd\",\"bad"
    "_alignment\",\"no_thread\",\"dead_thread\",\"booting\",\"null\",\"foreign\",\"central_full\","
    "\"no_memory\"],\"learned\":[\"reused\",\"missed\",\"kept\",\"let_go\",\"returned\",\"epoch\",\"tr"
    "ied\",\"frozen\",\"shifted\"],\"os_call\":[\"mmap\",\"munmap\",\"mremap\",\"mprotect\",\"purge\","
    "\"huge\",\"look\"],\"lock_kind\":[\"class\",\"superslab\",\"large\",\"threads\",\"meta\"]},\"coun"
    "ters\":[[\"cache_hit\",[\"class\"]],[\"refill_served\",[\"class\"]],[\"requested_bytes\",[\""
    "class\"]],[\"run_alloc\",[]],[\"run_requested_bytes\",[]],[\"run_given_bytes\",[]],[\"la"
    "rge_alloc\",[]],[\"large_requested_bytes\",[]],[\"large_given_bytes\",[]],[\"alloc_fai"
    "led\",[]],[\"calloc\",[]],[\"aligned\",[]],[\"realloc_in_place\",[]],[\"realloc_moved\",["
    "]],[\"early_return\",[\"early\"]],[\"stage_attempt\",[\"stage\",\"class\"]],[\"stage_succes"
    "s\",[\"stage\",\"class\"]],[\"stage_block\",[\"stage\",\"class\"]],[\"reused_own\",[\"class\"]]"
    ",[\"reused_other\",[\"class\"]],[\"stage_cycle\",[\"stage\"]],[\"carved\",[\"class\"]],[\"tls"
    "_sll\",[\"class\"]],[\"tls_sll_overflow\",[\"class\"]],[\"threadless_free\",[\"class\"]],[\""
    "run_free\",[]],[\"run_freed_bytes\",[]],[\"large_free\",[]],[\"large_freed_bytes\",[]],"
    "[\"overflow\",[\"class\"]],[\"cap_grown\",[\"class\"]],[\"central_list\",[\"class\"]],[\"cent"
    "ral_block\",[\"class\"]],[\"central_full_block\",[\"class\"]],[\"central_drained_block\","
    "[\"class\"]],[\"ss_local\",[\"class\"]],[\"ss_remote\",[\"class\"]],[\"slab_opened\",[\"class"
    "\"]],[\"slab_retired\",[\"class\"]],[\"retired_block\",[\"class\"]],[\"superslab_mapped\",["
    "]],[\"superslab_emptied\",[]],[\"superslab_claimed\",[]],[\"superslab_unmapped\",[]],["
    "\"large_mapped\",[]],[\"large_reused\",[]],[\"large_cached\",[]],[\"large_unmapped\",[]]"
    ",[\"large_mapped_bytes\",[]],[\"large_unmapped_bytes\",[]],[\"os_call\",[\"os_call\"]],["
    "\"os_call_failed\",[\"os_call\"]],[\"os_call_bytes\",[\"os_call\"]],[\"purge_round\",[]],["
    "\"purge_call\",[]],[\"purge_bytes\",[]],[\"learned\",[\"learned\"]],[\"trim\",[]],[\"lock_w"
    "ait\",[\"lock_kind\"]],[\"thread_started\",[]],[\"thread_exited\",[]]],\"gauges\":[[\"supe"
    "rslab_live\",[]],[\"superslab_live_peak\",[]],[\"looks\",[]],[\"derived_alloc\",[]],[\"d"
    "erived_free\",[]],[\"live_bytes\",[]],[\"cached_bytes\",[]],[\"dirty_bytes\",[]],[\"mapp"
    "ed_bytes\",[]],[\"peak_mapped_bytes\",[]],[\"cached_block\",[\"class\"]],[\"thread_live\""
    ",[]],[\"batch_block\",[\"class\"]],[\"slab_used_block\",[\"class\"]],[\"slab_free_block\","
    "[\"class\"]],[\"slab_live\",[\"class\"]],[\"run_live\",[]],[\"large_live\",[]],[\"learn_wai"
    "ting\",[]]]}";
const uint32_t hk_layout_text_bytes = sizeof(hk_layout_text) - 1;
