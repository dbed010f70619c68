/* The mapping that holds all counts. Its first HK_FILE_HEAD_BYTES are `struct hk_counter_file`,
 * the blocks of the threads follow; it grows by HK_BLOCKS_PER_CHUNK blocks. */
#ifndef HK_COUNTERS_FILE_H
#define HK_COUNTERS_FILE_H

#include "counters.h"

enum {
    HK_FILE_FORMAT = 1,
    HK_BLOCK_ALIGN = 4096, /* 16 blocks fill whole pages of up to 64 KiB */
    HK_BLOCK_BYTES =
        (sizeof(struct hk_block) + HK_BLOCK_ALIGN - 1) / HK_BLOCK_ALIGN * HK_BLOCK_ALIGN,
    HK_BLOCKS_PER_CHUNK = 16,
    HK_BLOCK_LIMIT = 4096, /* threads alive at once with a block of their own */
    HK_INFO_BYTES = 16384,
    HK_LAYOUT_BYTES = 16384,
    HK_PATH_BYTES = 4096,
};

enum hk_file_state { HK_FILE_RUNNING = 1, HK_FILE_FINISHED };

/* Where everything lies: offsets from the start of the file, sizes in bytes. */
struct hk_file_header {
    char magic[8];       /* "HAKCOUNT" */
    uint32_t byte_order; /* 0x01020304 in the order of the machine that wrote it */
    uint32_t format;     /* HK_FILE_FORMAT */
    uint32_t header_bytes;
    uint32_t state; /* enum hk_file_state */
    uint32_t pid, parent_pid;
    uint64_t started_ns;              /* CLOCK_REALTIME */
    uint64_t info_at, info_bytes;     /* JSON: program, command line, builds, configuration */
    uint64_t layout_at, layout_bytes; /* JSON: what the words of a block mean */
    uint64_t gauges_at;
    uint64_t base_at;  /* block: what the parent had counted when it forked */
    uint64_t ended_at; /* block: threads that ended */
    uint64_t blocks_at, block_bytes, counts_at, blocks;
    uint64_t blocks_in_memory; /* of these, how many could not be put into the file */
    uint64_t threads_ended;
    uint64_t
        threads_lost; /* of the parent at fork: what lay in their lists is in no list any more */
    uint64_t threads_sharing; /* had to use the shared block (block 0): their hits are too low */
    uint64_t moves;           /* odd while the counts of a thread that ends are added to `ended` */
};

struct hk_counter_file {
    struct hk_file_header header;
    struct hk_gauges gauges;
    struct hk_block base, ended;
    char info[HK_INFO_BYTES];
    char layout[HK_LAYOUT_BYTES];
};

enum {
    HK_FILE_HEAD_BYTES = (sizeof(struct hk_counter_file) + 65535) / 65536 * 65536,
};

/* NULL before the first event, and where there was no memory. */
extern struct hk_counter_file *hk_file;

struct hk_block *hk_block_at(uint64_t index);

uint64_t hk_now_ns(void); /* CLOCK_REALTIME */

/* Puts process ids and the time into the header. */
void hk_file_sign(void);

/* Moves the mapping into a new file. Returns 0, or an errno value: then it stays in memory. */
int hk_file_publish(const char *path);

/* Around fork, with the lock. Before it: notes what was counted until then. After it, in the child:
 * a mapping of its own, in memory, that starts from there; false if there is no memory for it, then
 * this process counts nothing. */
void hk_file_before_fork(void);
bool hk_file_after_fork(void);

/* The name of the file that holds the mapping, "" if it is in memory. */
extern char hk_file_path[HK_PATH_BYTES];

/* Nobody joins, leaves, dumps or forks meanwhile; all signals are blocked on this thread, so that
 * a handler can take the lock as well. */
void hk_counters_lock(uint64_t *signals);
void hk_counters_unlock(const uint64_t *signals);

#endif
