/* An allocator that aborts when it is asked for 16 bytes. */
#include <stdlib.h>

void *__libc_malloc(size_t size);

void *malloc(size_t size) {
    if (size == 16) {
        abort();
    }
    return __libc_malloc(size);
}
