#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum {
    NEAR_PART = 4,  /* near: all but this part of the limit */
    STEP_PART = 16, /* from there on, each such part presses once */
    DIGITS_MAX = 18,
};
/* Heaps below this do not look for a limit. */
#define READ_AT (32 * HK_MIB)

const char *hk_limit_root = "";

static size_t mapped;
static size_t limit;          /* 0: not known yet */
static size_t near, pressing; /* bytes mapped beyond which they are true; known with the limit */

/* --- reading ---------------------------------------------------------------------------------- */

/* The start of a file as a string; false: there is none. */
static bool read_text(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The decimal number in a file; SIZE_MAX for "max", for what no size can be, and for no file. */
static size_t read_bytes(const char *path) {
    char text[32];
    size_t value = 0;
    if (!read_text(path, text, sizeof text)) {
        return SIZE_MAX;
    }
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (size_t)(text[i] - '0');
    }
    return digits == 0 || digits > DIGITS_MAX ? SIZE_MAX : value;
}

/* The least of a group's limits and of those above it. `path` is the group's folder, whose first
 * `top` bytes are the hierarchy's; groups that cannot be seen from here are passed over. */
static size_t least_of_groups(char *path, size_t top, const char *const *files) {
    size_t least = SIZE_MAX;
    for (size_t length = strlen(path);; length--) {
        if (length == top || path[length] == '/' || path[length] == '\0') {
            for (const char *const *file = files; *file; file++) {
                memcpy(path + length, *file, strlen(*file) + 1); /* room for it is left */
                size_t bytes = read_bytes(path);
                least = bytes < least ? bytes : least;
            }
            path[length] = '\0';
        }
        if (length == top) {
            return least;
        }
    }
}

enum { LONGEST_NAME = 32 }; /* of the files of a group */

static size_t limit_of(const char *root, const char *hierarchy, const char *group,
                       const char *const *files) {
    char path[PATH_MAX];
    size_t top = strlen(root) + strlen(hierarchy);
    size_t length = strcspn(group, "\n");
    if (top + length + LONGEST_NAME > sizeof path) {
        return SIZE_MAX;
    }
    stpcpy(stpcpy(path, root), hierarchy);
    memcpy(path + top, group, length);
    path[top + length] = '\0';
    return least_of_groups(path, top, files);
}

size_t hk_limit_read(const char *root) {
    static const char *const v1[] = {"/memory.limit_in_bytes", NULL};
    static const char *const v2[] = {"/memory.max", "/memory.high", NULL};
    char groups[4096];
    char path[PATH_MAX];
    const char *list = "/proc/self/cgroup";
    if (strlen(root) + strlen(list) >= sizeof path) {
        return SIZE_MAX;
    }
    stpcpy(stpcpy(path, root), list);
    if (!read_text(path, groups, sizeof groups)) {
        return SIZE_MAX;
    }
    const char *memory = strstr(groups, ":memory:");
    if (memory) {
        return limit_of(root, "/sys/fs/cgroup/memory", memory + strlen(":memory:"), v1);
    }
    const char *unified = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    return unified ? limit_of(root, "/sys/fs/cgroup", strstr(unified, "::") + 2, v2) : SIZE_MAX;
}

/* --- keeping it ------------------------------------------------------------------------------- */

/* By the one thread that got there first; the others go on as if there were none. */
static void learn_limit(void) {
    size_t unknown = 0;
    if (!__atomic_compare_exchange_n(&limit, &unknown, SIZE_MAX, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
        return;
    }
    int kept = errno;
    size_t found = hk_limit_read(hk_limit_root);
    errno = kept;
    __atomic_store_n(&limit, found, __ATOMIC_RELAXED);
    __atomic_store_n(&near, found - found / NEAR_PART, __ATOMIC_RELAXED);
    __atomic_store_n(&pressing, found - found / NEAR_PART, __ATOMIC_RELAXED);
}

void hk_limit_grown(size_t bytes) {
    size_t now = __atomic_add_fetch(&mapped, bytes, __ATOMIC_RELAXED);
    if (now > READ_AT && __atomic_load_n(&limit, __ATOMIC_RELAXED) == 0) {
        learn_limit();
    }
}

void hk_limit_shrunk(size_t bytes) {
    size_t now = __atomic_sub_fetch(&mapped, bytes, __ATOMIC_RELAXED);
    size_t from = __atomic_load_n(&near, __ATOMIC_RELAXED);
    if (now < from) {
        __atomic_store_n(&pressing, from, __ATOMIC_RELAXED);
    }
}

static size_t known_limit(void) {
    size_t known = __atomic_load_n(&limit, __ATOMIC_RELAXED);
    return known ? known : SIZE_MAX;
}

bool hk_limit_is_near(void) {
    return known_limit() != SIZE_MAX &&
           __atomic_load_n(&mapped, __ATOMIC_RELAXED) > __atomic_load_n(&near, __ATOMIC_RELAXED);
}

bool hk_limit_presses(void) {
    size_t known = known_limit();
    size_t now = __atomic_load_n(&mapped, __ATOMIC_RELAXED);
    size_t from = __atomic_load_n(&pressing, __ATOMIC_RELAXED);
    return known != SIZE_MAX && now > from &&
           __atomic_compare_exchange_n(&pressing, &from, now + known / STEP_PART, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
