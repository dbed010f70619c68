/* lives COUNT [fork]: a thread allocates COUNT blocks and frees as many of its own before; main
 * frees what is left, or a child does that has forked meanwhile. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int count;
static void **blocks;

static void *allocate(void *unused) {
    for (int i = 0; i < count; i++) {
        free(malloc(50));
    }
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(100);
    }
    return unused;
}

int main(int argc, char **argv) {
    pthread_t thread;
    count = atoi(argv[1]);
    blocks = malloc((size_t)count * sizeof *blocks);
    if (pthread_create(&thread, NULL, allocate, NULL) != 0 || pthread_join(thread, NULL) != 0) {
        return 1;
    }
    if (argc > 2 && fork() > 0) {
        return wait(NULL) < 0;
    }
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
    }
    free(blocks);
    return 0;
}
