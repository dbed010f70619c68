/* The harness: warm-up, the region of interest on every thread, the report.
 *
 * Nothing here allocates from the allocator under test between the warm-up and the report. */
#include "../tools/line.h"
#include "bench_harness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Defined by whatever is preloaded and wants to know where the region begins and ends. */
extern void hakroi_begin(void) __attribute__((weak));
extern void hakroi_end(void) __attribute__((weak));
void bench_roi(struct bench_thread *self, uint64_t iters);

struct worker {
    struct bench_thread thread;
    uint64_t begin_ns, end_ns;
    pthread_t handle;
};

static struct {
    struct bench_lengths lengths;
    int calibrate, perf_control, perf_ack;
    struct bench_core before, after;
    uint64_t cpu_ns, minor_faults; /* of the whole process in the region */
    pthread_barrier_t barrier;
    struct worker *workers;
} run;

/* ---- what benchmarks call ---- */

void bench_refuse(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fprintf(stderr, "%s: ", benchmark.name);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(2);
}

void bench_out_of_memory(size_t bytes) {
    fprintf(stderr, "%s: an allocation of %zu bytes failed\n", benchmark.name, bytes);
    _exit(3);
}

void *bench_reserve(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        bench_out_of_memory(bytes);
    }
    return memory;
}

static void *enter_body(void *argument) {
    struct bench_thread *self = argument;
    bench_null_enter(self->index);
    return self->body(self);
}

void bench_spawn(pthread_t *handle, struct bench_thread *self, void *(*body)(void *self)) {
    self->body = body;
    const int error = pthread_create(handle, NULL, enter_body, self);
    if (error) {
        bench_refuse("cannot start a thread: %s", strerror(error));
    }
}

/* ---- perf's control pipe ---- */

static void open_perf_control(void) {
    const char *names = getenv("HAKBENCH_PERF_CTL");
    char *comma = NULL, *end = NULL;
    run.perf_control = names ? (int)strtol(names, &comma, 10) : -1;
    run.perf_ack = names && *comma == ',' ? (int)strtol(comma + 1, &end, 10) : -1;
    if (names && (run.perf_ack < 0 || comma == names || end == comma + 1 || *end)) {
        bench_refuse("HAKBENCH_PERF_CTL: '%s' is not CTLFD,ACKFD", names);
    }
}

static void tell_perf(const char *order) {
    if (run.perf_control < 0) {
        return;
    }
    char answer = 0;
    if (write(run.perf_control, order, strlen(order)) != (ssize_t)strlen(order)) {
        bench_refuse("perf's control pipe takes no orders: %s", strerror(errno));
    }
    while (answer != '\n') { /* "ack\n", in some versions with a NUL behind it */
        if (read(run.perf_ack, &answer, 1) != 1) {
            bench_refuse("perf did not answer on its control pipe");
        }
    }
}

/* ---- the region ---- */

/* Everything that is measured, and nothing else, runs below this function. */
__attribute__((noinline)) void bench_roi(struct bench_thread *self, uint64_t iters) {
    benchmark.work(self, iters);
    __asm__ volatile("" ::: "memory"); /* a call, never a jump: the tools wait for the return */
}

static void meet(void) {
    if (run.lengths.threads > 1) {
        pthread_barrier_wait(&run.barrier);
    }
}

static uint64_t minor_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt;
}

static void enter_region(struct worker *self) {
    self->begin_ns = bench_ns(CLOCK_MONOTONIC);
    if (hakroi_begin) {
        hakroi_begin();
    }
    BENCH_MARK_BEGIN();
    bench_roi(&self->thread, run.lengths.iters);
    BENCH_MARK_END();
    if (hakroi_end) {
        hakroi_end();
    }
    self->end_ns = bench_ns(CLOCK_MONOTONIC);
}

static void *work(void *argument) {
    struct worker *self = argument;
    const int first = self->thread.index == 0;
    if (benchmark.start) {
        benchmark.start(&self->thread);
    }
    meet();
    if (run.lengths.warmup) {
        benchmark.work(&self->thread, run.lengths.warmup);
    }
    self->thread.allocs = self->thread.frees = self->thread.reallocs = 0;
    self->thread.bytes = self->thread.turns = 0;
    meet();
    if (first) {
        if (run.calibrate) {
            run.before = bench_calibrate();
        }
        tell_perf("enable\n");
        run.minor_faults = minor_faults();
        run.cpu_ns = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
    }
    meet();
    enter_region(self);
    meet();
    if (first) {
        run.cpu_ns = bench_ns(CLOCK_PROCESS_CPUTIME_ID) - run.cpu_ns;
        run.minor_faults = minor_faults() - run.minor_faults;
        tell_perf("disable\n");
        if (run.calibrate) {
            run.after = bench_calibrate();
        }
    }
    return NULL;
}

static void run_workers(void) {
    run.workers = bench_reserve(run.lengths.threads * sizeof *run.workers);
    pthread_barrier_init(&run.barrier, NULL, (unsigned)run.lengths.threads);
    for (unsigned i = 0; i < run.lengths.threads; i++) {
        run.workers[i].thread.index = i;
        run.workers[i].thread.random = 12345 + i;
    }
    bench_null_prepare((unsigned)run.lengths.threads);
    if (benchmark.prepare) {
        benchmark.prepare((unsigned)run.lengths.threads);
    }
    for (unsigned i = 1; i < run.lengths.threads; i++) {
        bench_spawn(&run.workers[i].handle, &run.workers[i].thread, work);
    }
    bench_null_enter(0);
    work(&run.workers[0]); /* one thread only: the process stays single-threaded */
    for (unsigned i = 1; i < run.lengths.threads; i++) {
        pthread_join(run.workers[i].handle, NULL);
    }
}

/* ---- the report ---- */

static struct worker total(void) {
    struct worker sum = {.begin_ns = UINT64_MAX};
    for (unsigned i = 0; i < run.lengths.threads; i++) {
        const struct worker *one = &run.workers[i];
        sum.thread.allocs += one->thread.allocs;
        sum.thread.frees += one->thread.frees;
        sum.thread.reallocs += one->thread.reallocs;
        sum.thread.bytes += one->thread.bytes;
        sum.thread.turns += one->thread.turns;
        sum.begin_ns = one->begin_ns < sum.begin_ns ? one->begin_ns : sum.begin_ns;
        sum.end_ns = one->end_ns > sum.end_ns ? one->end_ns : sum.end_ns;
        /* The same arguments give the same checksum on every allocator: same calls, same sizes. */
        sum.thread.random = (sum.thread.random ^ one->thread.random) * 0x9e3779b97f4a7c15U;
    }
    sum.thread.random ^= sum.thread.bytes * 0xff51afd7ed558ccdU;
    return sum;
}

static void report(void) {
    struct line line = {.length = 0};
    const struct worker all = total();
    const struct bench_thread *sum = &all.thread;
#ifdef BENCH_NULL
    const char *harness_only = "true";
#else
    const char *harness_only = "false";
#endif
    line_add(&line, "{\"hakbench\":1,\"benchmark\":\"%s\",\"args\":{", benchmark.name);
    bench_add_options(&line);
    line_add(&line, "},\"harness_only\":%s,\"threads\":%" PRIu64 ",\"iters\":%" PRIu64 ",",
             harness_only, run.lengths.threads, run.lengths.iters);
    line_add(&line,
             "\"ops\":%" PRIu64 ",\"allocs\":%" PRIu64 ",\"frees\":%" PRIu64
             ",\"reallocs\":%" PRIu64 ",",
             (sum->allocs + sum->frees + sum->reallocs + sum->turns), sum->allocs, sum->frees,
             sum->reallocs);
    line_add(&line,
             "\"bytes_requested\":%" PRIu64 ",\"roi_ns\":%" PRIu64 ",\"roi_cpu_ns\":%" PRIu64 ",",
             sum->bytes, (all.end_ns - all.begin_ns), run.cpu_ns);
    line_add(&line, "\"roi_minor_faults\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"",
             run.minor_faults, sum->random);
    if (run.calibrate) {
        line_add(&line, ",\"clock_hz\":[%.0f,%.0f]", run.before.hz, run.after.hz);
        line_add(&line, ",\"adds_per_cycle\":{\"before\":%.3f,\"after\":%.3f}",
                 run.before.adds_per_cycle, run.after.adds_per_cycle);
    }
    if (benchmark.report) {
        benchmark.report(&line);
    }
    line_add(&line, "}\n");
    const int fd = getenv("HAKBENCH_FD") ? line_descriptor("HAKBENCH_FD") : STDOUT_FILENO;
    if (line_write(&line, fd) != 0) {
        bench_refuse("cannot write the report to descriptor %d: %s", fd, strerror(errno));
    }
}

int main(int argc, char **argv) {
    const char *calibrate = getenv("HAKBENCH_CLOCK");
    run.calibrate = !(calibrate && strcmp(calibrate, "0") == 0);
    run.lengths = bench_parse(argc, argv);
    open_perf_control();
    run_workers();
    report();
    return 0;
}
