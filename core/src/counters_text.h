/* Builds text without malloc and stdio: into memory, or through a buffer into a descriptor. */
#ifndef HK_COUNTERS_TEXT_H
#define HK_COUNTERS_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct hk_text {
    char *start, *at, *end;
    int fd;    /* where a full buffer goes, -1: nowhere */
    int error; /* errno of the first failure, ENOSPC where memory ran out; nothing is added after it
                */
};

struct hk_text hk_text_into(char *memory, size_t bytes, int fd);
void hk_put_char(struct hk_text *text, char c);
void hk_put(struct hk_text *text, const char *string);
void hk_put_u64(struct hk_text *text, uint64_t value);
/* A JSON string of `bytes` bytes; bytes that are not ASCII are passed through. */
void hk_put_quoted(struct hk_text *text, const char *string, size_t bytes);
/* Writes out what is buffered; 0, or the first error. */
int hk_text_finish(struct hk_text *text);

#endif
