/* How fast the core runs, by additions.
 *
 * A chain of additions, each of which needs the result of the one before, takes a cycle a link on
 * every machine of today, whatever else runs beside it. Additions that need nothing of each other
 * get as many units as the core has free: a busy neighbour on the same physical core takes its
 * part. Both operands are registers, because some cores resolve additions of a constant early. */
#include "bench_harness.h"

enum { WINDOWS = 15, TURNS = 2500, LINKS = 16, LANES = 8 };

#define ADD(x, y)                                                                                  \
    (x) += (y);                                                                                    \
    __asm__ volatile("" : "+r"(x))
#define TWICE(code)                                                                                \
    code;                                                                                          \
    code

static double chained_adds_per_ns(uint64_t one) {
    uint64_t x = 0;
    const uint64_t begin = bench_ns(CLOCK_MONOTONIC);
    for (int turn = 0; turn < TURNS; turn++) {
        TWICE(TWICE(TWICE(TWICE(ADD(x, one)))));
    }
    return (double)TURNS * LINKS / (double)(bench_ns(CLOCK_MONOTONIC) - begin + 1);
}

static double free_adds_per_ns(uint64_t one) {
    uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    const uint64_t begin = bench_ns(CLOCK_MONOTONIC);
    for (int turn = 0; turn < TURNS; turn++) {
        TWICE(TWICE(ADD(a, one); ADD(b, one); ADD(c, one); ADD(d, one); ADD(e, one); ADD(f, one);
                    ADD(g, one); ADD(h, one)));
    }
    return (double)TURNS * 4 * LANES / (double)(bench_ns(CLOCK_MONOTONIC) - begin + 1);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The medians of windows of some 10 us, each shorter than a timer tick. */
struct bench_core bench_calibrate(void) {
    double chained[WINDOWS], unchained[WINDOWS];
    uint64_t one = 1;
    __asm__ volatile("" : "+r"(one));
    for (int i = 0; i < WINDOWS; i++) {
        chained[i] = chained_adds_per_ns(one);
        unchained[i] = free_adds_per_ns(one);
    }
    qsort(chained, WINDOWS, sizeof *chained, by_value);
    qsort(unchained, WINDOWS, sizeof *unchained, by_value);
    return (struct bench_core){chained[WINDOWS / 2] * 1e9,
                               unchained[WINDOWS / 2] / chained[WINDOWS / 2]};
}
