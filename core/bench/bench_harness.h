/* What the parts of the harness share; benchmarks include bench.h only. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include "bench.h"

#include <time.h>

/* The options that every benchmark has. */
struct bench_lengths {
    uint64_t iters, warmup, threads;
};

/* Reads the command line into the benchmark's options and into what is returned. */
struct bench_lengths bench_parse(int argc, char **argv);

/* Adds the benchmark's own options to the report. */
void bench_add_options(struct line *line);

static inline uint64_t bench_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* The core as it runs at this moment. */
struct bench_core {
    double hz;             /* of its clock */
    double adds_per_cycle; /* how many it gets done: less when a neighbour shares the core */
};

struct bench_core bench_calibrate(void);

#endif
