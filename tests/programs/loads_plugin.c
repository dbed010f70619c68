/* loads_plugin deepbind|namespace|plain FILE: loads a module in a way that can bypass every
 * preloaded malloc, and lets it allocate. */
#define _GNU_SOURCE /* dlmopen, RTLD_DEEPBIND */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *load(const char *how, const char *file) {
    if (strcmp(how, "namespace") == 0) {
        return dlmopen(LM_ID_NEWLM, file, RTLD_NOW);
    }
    return dlopen(file, RTLD_NOW | (strcmp(how, "deepbind") == 0 ? RTLD_DEEPBIND : 0));
}

int main(int argc, char **argv) {
    void *module = argc == 3 ? load(argv[1], argv[2]) : NULL;
    void *(*work)(int) = NULL;
    *(void **)&work = module ? dlsym(module, "plugin_work") : NULL;
    if (!work) {
        fprintf(stderr, "loads_plugin: %s\n", argc == 3 ? dlerror() : "usage");
        return 1;
    }
    free(malloc(10));
    printf("%d\n", work(1000) != NULL);
    return 0;
}
