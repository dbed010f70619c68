/* Freed runs of units that a thread keeps for its next ones. */
#include "class_map.h"
#include "superslab.h"
#include "thread_record.h"

enum {
    RUNS_KEPT = 2 << 20, /* bytes of freed runs that a thread keeps: about what its cache holds */
    /* Freed in a row: none is kept then, for each may be the last of its SuperSlab. */
    RUNS_UNWANTED = 4 << 20,
};

void *hk_cache_take_run(unsigned units) {
    struct hk_thread *thread = hk_thread_this();
    if (!thread) {
        return NULL;
    }
    hk_thread_tick(thread);
    thread->run_unwanted = 0;
    void *block = thread->runs[units];
    if (block) {
        if (hk_secure_on) {
            hk_secure_taken(block);
        }
        thread->runs[units] = hk_slab_of(block)->free;
        thread->run_bytes -= (size_t)units << HK_UNIT_SHIFT;
        thread->run_count--;
        hk_class_map_change(block, HK_CODE_RUN);
    }
    return block;
}

bool hk_cache_keep_run(struct hk_slab *run, void *block) {
    struct hk_thread *thread = hk_thread_this();
    size_t bytes = (size_t)run->units << HK_UNIT_SHIFT;
    if (!thread) {
        return false;
    }
    thread->run_unwanted += bytes;
    if (thread->run_unwanted > RUNS_UNWANTED) {
        hk_thread_give_runs(thread);
        return false;
    }
    if (thread->run_bytes + bytes > RUNS_KEPT) {
        return false;
    }
    hk_class_map_change(block, HK_CODE_NONE); /* so that a second free of it is noticed */
    if (hk_secure_on) {
        hk_secure_set_next(block, NULL);
    }
    run->free = thread->runs[run->units];
    thread->runs[run->units] = block;
    thread->run_bytes += bytes;
    thread->run_count++;
    return true;
}

void hk_thread_give_runs(struct hk_thread *thread) {
    for (unsigned units = 1; thread->run_count && units <= HK_RUN_MAX_UNITS; units++) {
        for (void *block = thread->runs[units]; block;) {
            struct hk_slab *run = hk_slab_of(block);
            block = run->free;
            hk_units_give(run);
        }
        thread->runs[units] = NULL;
    }
    thread->run_bytes = 0;
    thread->run_count = 0;
}
