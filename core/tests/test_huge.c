/* Which memory gets huge pages: what the program writes before it reads it, where they round up but
 * little. Looks at the advice that the kernel holds, so that it needs no huge page. */
#include "smaps.h"

#include "secure.h"

#include <stdio.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static void test_large(void) {
    char *written = malloc(32 * MIB);
    char *zeroes = calloc(32, MIB);
    char *smaller = malloc(31 * MIB);
    CHECK(written && zeroes && smaller);
    CHECK(advised(written) && advised(written + 32 * MIB - 1));
    CHECK((uintptr_t)written % (2 * MIB) == 0);
    CHECK(!advised(zeroes) && !advised(smaller));
    /* It grows beyond what is free behind it, by moving its pages. */
    memset(smaller, 5, 31 * MIB);
    char *grown = realloc(smaller, 64 * MIB);
    CHECK(grown && advised(grown) && advised(grown + 64 * MIB - 1));
    CHECK(grown[0] == 5 && grown[31 * MIB - 1] == 5);
    free(written);
    free(zeroes);
    free(grown);
}

/* The last of so many blocks that they fill `bytes`. */
static void *fill(size_t size, size_t bytes) {
    void *last = NULL;
    for (size_t filled = 0; filled < bytes; filled += size) {
        last = malloc(size); /* for good: the process ends soon */
        CHECK(last);
    }
    return last;
}

static void test_small(void) {
    const size_t fine = 4096 - HK_SECURE_BYTES;
    CHECK(!advised(fill(fine, hk_secure_on ? MIB : 8 * MIB)));
    CHECK(advised(fill(fine, hk_secure_on ? 8 * MIB : 64 * MIB)));
    CHECK(advised(fill(1049, 64 * MIB)));
    CHECK(!advised(fill(4097, 128 * MIB)));
}

int main(void) {
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
        return 0; /* a kernel without them takes no advice */
    }
    test_large();
    test_small();
    return 0;
}
