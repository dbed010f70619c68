/* hakmem loaded late, by dlopen: its thread-local storage still fits, and it works beside glibc's.
 * Usage: test_dlopen LIBRARY. */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>

static void *(*allocate)(size_t);
static void (*release)(void *);

static void *work(void *argument) {
    void *blocks[100];
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < 100; i++) {
            blocks[i] = allocate(i * 50);
            CHECK(blocks[i]);
            memset(blocks[i], (int)i, i * 50);
        }
        for (size_t i = 0; i < 100; i++) {
            release(blocks[i]);
        }
    }
    return argument;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&allocate = dlsym(library, "malloc");
    *(void **)&release = dlsym(library, "free");
    CHECK(allocate && allocate != malloc && release);
    work(NULL);
    pthread_t id;
    CHECK(pthread_create(&id, NULL, work, NULL) == 0);
    CHECK(pthread_join(id, NULL) == 0);
    return 0;
}
