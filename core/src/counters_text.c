#define _GNU_SOURCE
#include "counters_text.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct hk_text hk_text_into(char *memory, size_t bytes, int fd) {
    return (struct hk_text){memory, memory, memory + bytes, fd, 0};
}

static void flush(struct hk_text *text) {
    char *from = text->start;
    while (text->error == 0 && from < text->at) {
        /* Not write(2) of libc: that is a point where a thread can be cancelled. */
        long written = syscall(SYS_write, text->fd, from, (size_t)(text->at - from));
        if (written > 0) {
            from += written;
        } else if (errno != EINTR) {
            text->error = errno;
        }
    }
    text->at = text->start;
}

void hk_put_char(struct hk_text *text, char c) {
    if (text->at == text->end && text->error == 0) {
        if (text->fd >= 0) {
            flush(text);
        } else {
            text->error = ENOSPC;
        }
    }
    if (text->error == 0) {
        *text->at++ = c;
    }
}

void hk_put(struct hk_text *text, const char *string) {
    while (*string != '\0') {
        hk_put_char(text, *string++);
    }
}

void hk_put_u64(struct hk_text *text, uint64_t value) {
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (n > 0) {
        hk_put_char(text, digits[--n]);
    }
}

void hk_put_quoted(struct hk_text *text, const char *string, size_t bytes) {
    static const char hex[] = "0123456789abcdef";
    hk_put_char(text, '"');
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c < 0x20 || c == 0x7f) {
            hk_put(text, "\\u00");
            hk_put_char(text, hex[c >> 4]);
            hk_put_char(text, hex[c & 15]);
        } else {
            if (c == '"' || c == '\\') {
                hk_put_char(text, '\\');
            }
            hk_put_char(text, (char)c);
        }
    }
    hk_put_char(text, '"');
}

int hk_text_finish(struct hk_text *text) {
    if (text->fd >= 0) {
        flush(text);
    }
    return text->error;
}
