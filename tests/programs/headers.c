/* Fills blocks of all sizes to the brim, side by side, and looks at the byte before each. */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64, LARGEST = 80000, HAS_CLASS = 61439, COLUMNS = 3 };

static unsigned char *make(size_t kind, size_t size) {
    switch (kind) {
    case 0:
        return malloc(size);
    case 1:
        return calloc(1, size);
    default:
        return aligned_alloc(64, size);
    }
}

int main(void) {
    static unsigned char *block[COLUMNS * BLOCKS];
    for (size_t size = 1; size <= LARGEST; size += 1 + size / 16) {
        for (size_t i = 0; i < COLUMNS * BLOCKS; i++) {
            unsigned char *made = block[i] = make(i % COLUMNS, size);
            const size_t usable = malloc_usable_size(made);
            if (!made || (uintptr_t)made % 16 || usable < size) {
                return printf("size %zu: bad block\n", size), 1;
            }
            for (size_t at = 0; i % COLUMNS == 1 && at < size; at++) {
                if (made[at]) {
                    return printf("size %zu: calloc left a byte\n", size), 1;
                }
            }
            memset(made, 0xff, usable);
        }
        for (size_t i = 0; i < COLUMNS * BLOCKS; i++) {
            const int header = block[i][-1];
            if (size <= HAS_CLASS && (header == 0 || header == 0xff)) {
                return printf("size %zu: no class before the block\n", size), 1;
            }
            if (i % COLUMNS == 0 && size <= 1023 && (size_t)header != (size + 16) / 16) {
                return printf("size %zu: class %d\n", size, header), 1;
            }
        }
        for (size_t i = 0; i < COLUMNS * BLOCKS; i++) {
            free(block[i]);
        }
    }
    return 0;
}
