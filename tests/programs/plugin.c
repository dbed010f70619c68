/* A module whose work is to allocate; see loads_plugin.c. -DPVALLOC: it could call pvalloc. */
#include <malloc.h>
#include <stdlib.h>

void *plugin_work(int count);

void *plugin_work(int count) {
    void *last = NULL;
    for (int i = 0; i < count; i++) {
        last = malloc(1000);
    }
    return last;
}

#ifdef PVALLOC
void *plugin_pages(void);

void *plugin_pages(void) {
    return pvalloc(1);
}
#endif
