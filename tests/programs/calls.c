/* calls [THREADS]: a known number of every allocation call, then as many threads that each make
 * 1000 allocations and frees. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *work(void *unused) {
    for (int i = 0; i < 1000; i++) {
        free(malloc(100));
    }
    return unused;
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 0;
    void *volatile blocks[9];
    void *aligned = NULL;
    blocks[0] = malloc(10);
    blocks[1] = calloc(10, 10);
    blocks[2] = realloc(NULL, 2000);
    blocks[2] = realloc(blocks[2], 3000);
    blocks[3] = memalign(64, 100);
    blocks[4] = aligned_alloc(64, 128);
    blocks[5] = posix_memalign(&aligned, 64, 1024) ? NULL : aligned;
    blocks[6] = valloc(1025);
    blocks[7] = pvalloc(1);
    blocks[8] = malloc((size_t)-1 / 2); /* fails */
    for (int i = 0; i < 9; i++) {
        free(blocks[i]); /* the last one is NULL */
    }
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0 || pthread_join(thread, NULL) != 0) {
            return 1;
        }
    }
    return 0;
}
