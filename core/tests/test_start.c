/* Run by test_start.sh: allocates once if it is told to. */
#include <stdlib.h>

static void *volatile block;

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        block = malloc(100);
        free(block);
    }
    return 0;
}
