/* What a program can see of glibc's malloc, it sees of this one. */
#include "check.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <unistd.h>

/* Keeps the compiler from knowing what a value is, and from removing what is not used. */
static void *volatile sink;
static volatile size_t huge = SIZE_MAX;
static volatile size_t zero;

#define FAILS_WITH(code, call)                                                                     \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == NULL);                                                                     \
        CHECK(errno == (code));                                                                    \
    } while (0)

static void absurd_sizes(void) {
    const size_t sizes[] = {huge, huge - 15, huge / 2, huge / 2 + 1, huge / 2 - 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        FAILS_WITH(ENOMEM, malloc(sizes[i]));
        FAILS_WITH(ENOMEM, calloc(1, sizes[i]));
        FAILS_WITH(ENOMEM, calloc(sizes[i], 2));
        FAILS_WITH(ENOMEM, realloc(NULL, sizes[i]));
        FAILS_WITH(ENOMEM, memalign(64, sizes[i]));
        FAILS_WITH(ENOMEM, aligned_alloc(4096, sizes[i]));
        FAILS_WITH(ENOMEM, valloc(sizes[i]));
        FAILS_WITH(ENOMEM, pvalloc(sizes[i]));
        void *untouched = &errno;
        errno = 7;
        CHECK(posix_memalign(&untouched, 64, sizes[i]) == ENOMEM);
        CHECK(untouched == (void *)&errno && errno == 7);
        char *kept = malloc(10);
        strcpy(kept, "kept");
        FAILS_WITH(ENOMEM, realloc(kept, sizes[i]));
        FAILS_WITH(ENOMEM, reallocarray(kept, sizes[i], 3));
        CHECK(strcmp(kept, "kept") == 0);
        free(kept);
    }
    FAILS_WITH(ENOMEM, calloc(huge / 2, 4));
}

static void alignments(void) {
    void *untouched = &errno;
    CHECK(posix_memalign(&untouched, 3, 10) == EINVAL);
    CHECK(posix_memalign(&untouched, 4, 10) == EINVAL);
    CHECK(posix_memalign(&untouched, zero, 10) == EINVAL);
    CHECK(untouched == (void *)&errno);
    FAILS_WITH(EINVAL, aligned_alloc(zero + 24, 48)); // clang refuses the constant
    FAILS_WITH(EINVAL, aligned_alloc(zero, 48));
    FAILS_WITH(EINVAL, memalign(huge, 1));
    for (size_t alignment = 8; alignment <= (size_t)16 << 20; alignment *= 2) {
        const size_t sizes[] = {0,     1,       alignment - 1, alignment, alignment + 1,
                                1024,  1025,    32768,         32769,     65536,
                                65537, 1 << 20, (1 << 20) + 1, 3 << 20};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *block = NULL;
            CHECK(posix_memalign(&block, alignment, sizes[i]) == 0);
            CHECK(block && (uintptr_t)block % alignment == 0);
            CHECK(malloc_usable_size(block) >= sizes[i]);
            stamp(block, sizes[i]);
            void *other = memalign(alignment - 1, sizes[i]);
            CHECK(other && other != block && (uintptr_t)other % (alignment / 2) == 0);
            free(other);
            CHECK(stamp_holds(block, sizes[i]));
            free(block);
        }
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *block = valloc(10);
    CHECK((uintptr_t)block % page == 0);
    free(block);
    block = pvalloc(page + 1);
    CHECK((uintptr_t)block % page == 0 && malloc_usable_size(block) >= 2 * page);
    free(block);
}

static void sizes_and_alignment(void) {
    for (size_t size = 0; size <= 70000; size += size < 2100 ? 1 : 61) {
        void *block = malloc(size);
        CHECK(block && (uintptr_t)block % 16 == 0);
        size_t usable = malloc_usable_size(block);
        CHECK(usable >= size && usable == malloc_usable_size(block));
        memset(block, 0xA5, usable);
        free(block);
        unsigned char *zeroed = calloc(size, 1);
        for (size_t i = 0; i < size; i++) {
            CHECK(zeroed[i] == 0);
        }
        free(zeroed);
    }
    CHECK(malloc_usable_size(NULL) == 0);
    void *one = malloc(zero);
    void *other = malloc(zero);
    CHECK(one && other && one != other);
    free(one);
    free(other);
}

static void reallocs(void) {
    char *block = malloc(2);
    *block = 'x';
    for (size_t size = 2; size < (size_t)40 << 20; size += size / 5 + 1) {
        block = realloc(block, size);
        CHECK(block && block[0] == 'x');
        block[size - 1] = 'y';
    }
    for (size_t size = (size_t)40 << 20; size > 1; size -= size / 3 + 1) {
        block = realloc(block, size);
        CHECK(block && block[0] == 'x' && malloc_usable_size(block) >= size);
    }
    CHECK(realloc(block, zero) == NULL);
    block = reallocarray(NULL, 10, 10);
    CHECK(block);
    free(block);
}

static void free_keeps_errno(void) {
    const size_t sizes[] = {1, 5000, 100000, (size_t)3 << 20, (size_t)200 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = malloc(sizes[i]);
        CHECK(block);
        errno = 1234;
        free(block);
        CHECK(errno == 1234);
    }
    errno = 99;
    free(NULL);
    CHECK(errno == 99);
}

static void information(void) {
    void *block = malloc(1000);
    sink = block;
    struct mallinfo2 before = mallinfo2();
    void *more = malloc(100000);
    sink = more;
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks >= before.uordblks + 100000);
    CHECK(after.uordblks + after.fordblks == after.arena);
    free(more);
    CHECK(mallopt(M_MMAP_THRESHOLD, 4096) == 1);
    FILE *null = fopen("/dev/null", "w");
    CHECK(malloc_info(0, null) == 0 && malloc_info(1, null) == -1);
    fclose(null);
    void *big = malloc(500000);
    memset(big, 1, 500000);
    free(big);
    CHECK(malloc_trim(0) == 1);
    free(block);
}

/* Bytes that are appended one by one move the block seldom; a block that grows by half gets no more
 * than that, for whoever moves it next copies the whole of it. */
static void growth(void) {
    char *block = malloc(1);
    unsigned moved = 0;
    for (size_t size = 2; size <= 40000; size++) {
        char *grown = realloc(block, size);
        CHECK(grown);
        moved += grown != block;
        block = grown;
    }
    CHECK(moved <= 50);
    free(block);
    block = malloc(16);
    for (size_t size = 16; size <= 40000; size += size / 2) {
        block = realloc(block, size);
        CHECK(block && malloc_usable_size(block) <= size + size / 8 + 16);
    }
    free(block);
}

int main(void) {
    absurd_sizes();
    alignments();
    sizes_and_alignment();
    reallocs();
    growth();
    free_keeps_errno();
    information();
    return 0;
}
