/* What the kernel says of this process's memory, mapping by mapping. */
#ifndef SMAPS_H
#define SMAPS_H

#include "check.h"

/* In memory, page by page: /proc/self/statm is off by some pages a core. */
static inline size_t resident_bytes(void) {
    char line[512];
    size_t sum = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file)) {
        size_t kib = 0;
        sum += sscanf(line, "Rss: %zu kB", &kib) == 1 ? kib << 10 : 0;
    }
    fclose(file);
    CHECK(sum > 0);
    return sum;
}

/* Whether the mapping that holds an address was advised to have huge pages ("hg"). */
static inline bool advised(const void *address) {
    FILE *file = fopen("/proc/self/smaps", "r");
    CHECK(file);
    char line[512];
    unsigned long start, end;
    bool inside = false, found = false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, " hg") != NULL;
        }
    }
    fclose(file);
    return found;
}

#endif
