#include "base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec part(const char *text) {
    return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

void hk_say(const char *first, const char *second, const char *third) {
    struct iovec parts[] = {part("hakmem: "), part(first), part(second), part(third), part("\n")};
    ssize_t ignored = writev(STDERR_FILENO, parts, sizeof parts / sizeof *parts);
    (void)ignored;
}

void hk_fatal(const char *what, const void *address) {
    char digits[2 + 2 * sizeof address + 1];
    char *digit = digits + sizeof digits - 1;
    *digit = '\0';
    uintptr_t rest = (uintptr_t)address;
    do {
        *--digit = "0123456789abcdef"[rest & 15];
        rest >>= 4;
    } while (rest);
    *--digit = 'x';
    *--digit = '0';
    hk_say(what, " ", digit);
    abort();
}
