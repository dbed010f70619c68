/* Run by test_start.sh: allocates once, or frees first what nobody gave, if it is told to. */
#include <stdlib.h>
#include <string.h>

static void *volatile block;

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "foreign") == 0) {
        block = &argc;
        free(block);
    } else if (argc > 1) {
        block = malloc(100);
        free(block);
    }
    return 0;
}
