/* Allocates as C++ does: through operator new, here under its mangled name. */
#include <stddef.h>
#include <stdio.h>

void *_Znwm(size_t size);

int main(void) {
    printf("%d\n", _Znwm(100) != NULL);
    return 0;
}
