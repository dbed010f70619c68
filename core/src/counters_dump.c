/* The JSON document: all that the mapping holds, with names in place of word numbers. Zeros are
 * left out. */
#define _GNU_SOURCE
#include "counters_dump.h"

#include "counters_file.h"
#include "counters_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t read_word(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void put_key(struct hk_text *text, const char *name) {
    hk_put_quoted(text, name, strlen(name));
    hk_put_char(text, ':');
}

static void put_number(struct hk_text *text, const char *name, uint64_t value) {
    put_key(text, name);
    hk_put_u64(text, value);
    hk_put_char(text, ',');
}

static void put_member(struct hk_text *text, const struct hk_axis *axis, uint32_t index) {
    if (axis->member != NULL) {
        put_key(text, axis->member[index]);
        return;
    }
    hk_put_char(text, '"');
    hk_put_u64(text, index);
    hk_put(text, "\":");
}

static bool all_zero(const uint64_t *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (read_word(&words[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* {"member":N,...} along one axis, or {"outer":{"inner":N}} along two. */
static void put_axis(struct hk_text *text, const uint64_t *words, const struct hk_axis *axis,
                     const struct hk_axis *inner) {
    uint32_t step = inner != NULL ? inner->size : 1;
    const char *separator = "";
    hk_put_char(text, '{');
    for (uint32_t i = 0; i < axis->size; i++) {
        const uint64_t *at = words + (size_t)i * step;
        if (all_zero(at, step)) {
            continue;
        }
        hk_put(text, separator);
        separator = ",";
        put_member(text, axis, i);
        if (inner != NULL) {
            put_axis(text, at, inner, NULL);
        } else {
            hk_put_u64(text, read_word(at));
        }
    }
    hk_put_char(text, '}');
}

static uint32_t row_words(const struct hk_counter_row *row) {
    return (row->outer != NULL ? row->outer->size : 1) *
           (row->inner != NULL ? row->inner->size : 1);
}

static void put_rows(struct hk_text *text, const uint64_t *words, const struct hk_counter_row *rows,
                     uint32_t row_count) {
    const char *separator = "";
    hk_put_char(text, '{');
    for (const struct hk_counter_row *row = rows; row < rows + row_count; row++) {
        if (all_zero(words + row->word, row_words(row))) {
            continue;
        }
        hk_put(text, separator);
        separator = ",\n  ";
        put_key(text, row->name);
        if (row->outer != NULL) {
            put_axis(text, words + row->word, row->outer, row->inner);
        } else {
            hk_put_u64(text, read_word(words + row->word));
        }
    }
    hk_put_char(text, '}');
}

static void put_counts(struct hk_text *text, const struct hk_block *block) {
    put_key(text, "counts");
    put_rows(text, (const uint64_t *)&block->counts, hk_counter_rows, hk_counter_row_count);
}

static void put_thread(struct hk_text *text, const struct hk_block *block) {
    hk_put_char(text, '{');
    put_number(text, "tid", block->tid);
    put_number(text, "started_ns", block->started_ns);
    put_key(text, "name");
    hk_put_quoted(text, block->name, strnlen(block->name, sizeof(block->name)));
    hk_put_char(text, ',');
    put_counts(text, block);
    hk_put_char(text, '}');
}

static void put_threads(struct hk_text *text) {
    const char *separator = "";
    hk_put(text, "\"threads\":[");
    for (uint64_t i = 0; i < hk_file->header.blocks; i++) {
        const struct hk_block *block = hk_block_at(i);
        if (__atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == HK_BLOCK_LIVE) {
            hk_put(text, separator);
            put_thread(text, block);
            separator = ",\n";
        }
    }
    hk_put(text, "]");
}

static void put_document(struct hk_text *text, enum hk_file_state state) {
    const struct hk_file_header *header = &hk_file->header;
    hk_put_char(text, '{');
    put_number(text, "hakmem_counters", HK_FILE_FORMAT);
    put_number(text, "pid", header->pid);
    put_number(text, "parent_pid", header->parent_pid);
    put_number(text, "state", state);
    put_number(text, "started_ns", header->started_ns);
    put_number(text, "written_ns", hk_now_ns());
    put_number(text, "threads_ended", header->threads_ended);
    put_number(text, "threads_lost", header->threads_lost);
    put_number(text, "threads_sharing", header->threads_sharing);
    hk_put(text, "\n\"info\":");
    hk_put(text, hk_file->info);
    hk_put(text, ",\n\"layout\":");
    hk_put(text, hk_file->layout);
    hk_put(text, ",\n\"gauges\":");
    put_rows(text, (const uint64_t *)&hk_file->gauges, hk_gauge_rows, hk_gauge_row_count);
    hk_put(text, ",\n\"base\":{");
    put_counts(text, &hk_file->base);
    hk_put(text, "},\n\"ended\":{");
    put_counts(text, &hk_file->ended);
    hk_put(text, "},\n");
    put_threads(text);
    hk_put(text, "}\n");
}

int hk_dump_to_descriptor(int fd, enum hk_file_state state) {
    static char buffer[1 << 15]; /* the lock is held: one dump at a time */
    uint64_t signals;
    hk_counters_lock(&signals);
    struct hk_text text = hk_text_into(buffer, sizeof(buffer), fd);
    put_document(&text, state);
    int error = hk_text_finish(&text);
    hk_counters_unlock(&signals);
    return error;
}

int hk_dump_to_file(const char *path, enum hk_file_state state) {
    char draft[HK_PATH_BYTES];
    struct hk_text name = hk_text_into(draft, sizeof(draft), -1);
    hk_put(&name, path);
    hk_put_char(&name, '.');
    hk_put_u64(&name, (uint64_t)syscall(SYS_gettid)); /* two threads may dump to one file */
    hk_put(&name, ".draft");
    hk_put_char(&name, '\0');
    if (name.error != 0) {
        return ENAMETOOLONG;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, draft,
                          O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        return errno;
    }
    int error = hk_dump_to_descriptor(fd, state);
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    if (error == 0 && rename(draft, path) != 0) {
        error = errno;
    }
    if (error != 0) {
        unlink(draft);
    }
    return error;
}
