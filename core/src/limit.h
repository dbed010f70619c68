/* The memory limit of the container: cgroup v2 (memory.max, memory.high) or v1, of the process's
 * own group and those above it. Such a limit kills where others refuse, so memory that waits goes
 * before it is reached. Read once, when the heap first reaches 32 MiB: small programs never look.
 */
#ifndef HK_LIMIT_H
#define HK_LIMIT_H

#include "base.h"

/* The least limit in the files below `root` ("" is the system itself); SIZE_MAX: none. */
size_t hk_limit_read(const char *root);

/* Address space that hakmem mapped, or unmapped again. */
void hk_limit_grown(size_t bytes);
void hk_limit_shrunk(size_t bytes);

/* More than three quarters of the limit are mapped: nothing more should wait. */
bool hk_limit_is_near(void);

/* True once for each sixteenth of the limit beyond that: everything that can go should go now. */
bool hk_limit_presses(void);

/* What stands for the root of the file system; tests change it before the heap grows. */
extern const char *hk_limit_root __attribute__((visibility("hidden")));

#endif
