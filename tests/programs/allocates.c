/* allocates [COUNT [PROGRAM [ARGS...]]]: COUNT allocations that are all alive at once, then it
 * becomes PROGRAM with an empty environment, and so without LD_PRELOAD. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    size_t bytes = 0;
    char **blocks = calloc((size_t)count, sizeof *blocks);
    for (long i = 0; i < count; i++) {
        const size_t size = 16 + (size_t)(i % 64) * 16;
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
        bytes += size;
    }
    for (long i = 0; i < count; i++) {
        free(blocks[i]);
    }
    free(blocks);
    printf("%zu bytes\n", bytes);
    if (argc > 2) {
        fflush(stdout);
        execve(argv[2], argv + 2, (char *[]){NULL});
        perror(argv[2]);
        return 1;
    }
    return 0;
}
