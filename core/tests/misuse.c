/* One misuse a run: misuse NAME. Each must end in abort with a message that names the address,
 * which is printed first. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile sink;

static void *announce(void *address) {
    printf("%p\n", address);
    fflush(stdout);
    return address;
}

static void free_stack(void) {
    char local[64];
    sink = local;
    free(announce((void *)sink));
}

static void free_static(void) {
    static char bytes[64];
    sink = bytes;
    free(announce((void *)sink));
}

static void free_inside_small(void) {
    sink = malloc(100);
    free(announce((char *)sink + 16));
}

static void free_inside_run(void) {
    sink = malloc(200000);
    free(announce((char *)sink + 65536));
}

static void free_inside_large(void) {
    sink = malloc(5000000);
    free(announce((char *)sink + 131072));
}

static void double_free_run(void) {
    sink = announce(malloc(200000));
    free(sink);
    free(sink);
}

static void double_free_large(void) {
    sink = announce(malloc(5000000));
    free(sink);
    free(sink);
}

static void realloc_foreign(void) {
    char local[64];
    sink = local;
    sink = realloc(announce((void *)sink), 100);
}

static void size_of_foreign(void) {
    static char bytes[64];
    sink = bytes;
    printf("%zu\n", malloc_usable_size(announce((void *)sink)));
}

static const struct {
    const char *name;
    void (*run)(void);
} misuses[] = {
    {"free_stack", free_stack},
    {"free_static", free_static},
    {"free_inside_small", free_inside_small},
    {"free_inside_run", free_inside_run},
    {"free_inside_large", free_inside_large},
    {"double_free_run", double_free_run},
    {"double_free_large", double_free_large},
    {"realloc_foreign", realloc_foreign},
    {"size_of_foreign", size_of_foreign},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < sizeof misuses / sizeof *misuses; i++) {
        if (strcmp(argv[1], misuses[i].name) == 0) {
            misuses[i].run();
            return 0; /* not noticed */
        }
    }
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        puts(misuses[i].name);
    }
    return 2;
}
