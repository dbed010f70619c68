/* Built with -no-pie: the address of malloc is then that of the program's own jump to it, for every
 * object of the process, although the program has no malloc. */
#include <stdio.h>
#include <stdlib.h>

void *(*allocate)(size_t) = malloc;

int main(void) {
    void *block = allocate(100);
    printf("%d\n", block != NULL);
    free(block);
    return 0;
}
