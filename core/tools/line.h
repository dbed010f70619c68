/* One line of JSON, put together without allocating and written at once.
 *
 * A line shorter than PIPE_BUF arrives whole even where many processes write into one pipe. */
#ifndef HAK_LINE_H
#define HAK_LINE_H

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct line {
    size_t length; /* more than fits once it has overflown */
    char bytes[PIPE_BUF];
};

__attribute__((format(printf, 2, 3))) static inline void line_add(struct line *line,
                                                                  const char *format, ...) {
    if (line->length >= sizeof line->bytes) {
        return;
    }
    va_list values;
    va_start(values, format);
    line->length += (size_t)vsnprintf(line->bytes + line->length, sizeof line->bytes - line->length,
                                      format, values);
    va_end(values);
}

/* `text` as a JSON string; NULL becomes null. Bytes beyond ASCII pass as they are. */
static inline void line_add_string(struct line *line, const char *text) {
    if (!text) {
        line_add(line, "null");
        return;
    }
    line_add(line, "\"");
    for (; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        line_add(line, byte < 0x20 ? "\\u%04x" : byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
    }
    line_add(line, "\"");
}

/* 0, or -1 if the line did not fit or could not be written. */
static inline int line_write(const struct line *line, int fd) {
    return line->length < sizeof line->bytes &&
                   write(fd, line->bytes, line->length) == (ssize_t)line->length
               ? 0
               : -1;
}

/* The descriptor that the environment variable `name` tells, or -1. */
static inline int line_descriptor(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    const long fd = text ? strtol(text, &end, 10) : -1;
    return text && *text && !*end && fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

#endif
