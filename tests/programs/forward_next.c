/* Preloaded, defines every entry point, and hands each call on to whoever comes next. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stddef.h>

#define FORWARD(result, name, parameters, arguments)                                               \
    result name parameters {                                                                       \
        static result(*next) parameters;                                                           \
        if (!next) {                                                                               \
            *(void **)&next = dlsym(RTLD_NEXT, #name);                                             \
        }                                                                                          \
        return next arguments;                                                                     \
    }

FORWARD(void *, malloc, (size_t size), (size))
FORWARD(void, free, (void *block), (block))
FORWARD(void *, calloc, (size_t count, size_t size), (count, size))
FORWARD(void *, realloc, (void *block, size_t size), (block, size))
FORWARD(void *, memalign, (size_t alignment, size_t size), (alignment, size))
FORWARD(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
FORWARD(int, posix_memalign, (void **block, size_t alignment, size_t size),
        (block, alignment, size))
FORWARD(void *, valloc, (size_t size), (size))
FORWARD(void *, pvalloc, (size_t size), (size))
FORWARD(size_t, malloc_usable_size, (void *block), (block))
