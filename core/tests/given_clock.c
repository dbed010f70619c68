/* A clock that says how often it was asked, in microseconds: what a test measures with it is the
 * same on every machine, however busy. Linked into a program, or preloaded. */
#include <stdint.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static uint64_t asked;
    const uint64_t us = 1000000 + __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
    (void)clock;
    now->tv_sec = (time_t)(us / 1000000);
    now->tv_nsec = (long)(us % 1000000 * 1000);
    return 0;
}
