/* haktruth KERNEL TURNS: loops whose instructions, and in part cycles, are known.
 *
 * A counter or an estimate is trusted once it reads these right. One turn is one operation; the
 * loops are unrolled so that what is measured is the chain and not the loop around it. */
#include "../bench/bench.h"

#include "line.h"

enum { UNROLL = 16, MEMSET_BYTES = 8192, PATTERN_LENGTH = 2048, CHASE_LENGTH = 64 };

#if defined(__x86_64__)
#define LOOP(body) ".p2align 6\n1:\n" body "dec %[n]\n jnz 1b\n"
#define ADD(x)     "add %[one], %[" x "]\n"
#define MUL(x)     "imul %[one], %[" x "]\n"
#define LOAD(x)    "mov (%[" x "]), %[" x "]\n"
enum { MUL_CYCLES = 3, LOAD_CYCLES = 4 };
#elif defined(__aarch64__)
#define LOOP(body) ".p2align 6\n1:\n" body "subs %[n], %[n], #1\n b.ne 1b\n"
#define ADD(x)     "add %[" x "], %[" x "], %[one]\n"
#define MUL(x)     "mul %[" x "], %[" x "], %[one]\n"
#define LOAD(x)    "ldr %[" x "], [%[" x "]]\n"
enum { MUL_CYCLES = 0, LOAD_CYCLES = 0 };
#else
#error "haktruth knows the instructions of x86-64 and aarch64 only"
#endif
#define TIMES_4(text)  text text text text
#define TIMES_16(text) TIMES_4(TIMES_4(text))

/* Runs `body` n times; w, x, y, z are registers, `one` holds 1. */
#define REPEAT(body)                                                                               \
    do {                                                                                           \
        uint64_t w = 1, x = 1, y = 1, z = 1;                                                       \
        __asm__ volatile(LOOP(body)                                                                \
                         : [n] "+r"(n), [w] "+r"(w), [x] "+r"(x), [y] "+r"(y), [z] "+r"(z)         \
                         : [one] "r"(UINT64_C(1))                                                  \
                         : "cc");                                                                  \
    } while (0)

static void loop7(uint64_t n) {
    REPEAT(ADD("w") ADD("x") ADD("y") ADD("z") ADD("w"));
}
static void mul(uint64_t n) {
    REPEAT(TIMES_16(MUL("x")));
}
static void add1(uint64_t n) {
    REPEAT(TIMES_16(ADD("x")));
}
static void add2(uint64_t n) {
    REPEAT(TIMES_16(ADD("x") ADD("x")));
}
static void wide(uint64_t n) {
    REPEAT(TIMES_4(ADD("w") ADD("x") ADD("y") ADD("z")));
}

static void chase(uint64_t n) {
    static void *ring[CHASE_LENGTH];
    for (unsigned i = 0; i < CHASE_LENGTH; i++) {
        ring[i] = &ring[(i + 1) % CHASE_LENGTH];
    }
    void *place = ring;
    __asm__ volatile(LOOP(TIMES_16(LOAD("x"))) : [n] "+r"(n), [x] "+r"(place)::"cc", "memory");
}

/* A branch that goes either way to the same place, by a random pattern that repeats: hardware
 * learns it, a simple model of a predictor does not. */
static void branchy(uint64_t n) {
    static uint8_t pattern[PATTERN_LENGTH];
    struct bench_thread random = {.random = 1};
    for (unsigned i = 0; i < PATTERN_LENGTH; i++) {
        pattern[i] = bench_random(&random) & 1;
    }
    uint64_t index = 0, way;
#if defined(__x86_64__)
    __asm__ volatile(LOOP("movzbl (%[pattern],%[index]), %k[way]\n test %k[way], %k[way]\n"
                          "je 2f\n 2: inc %[index]\n and $2047, %[index]\n")
                     : [n] "+r"(n), [index] "+r"(index), [way] "=&r"(way)
                     : [pattern] "r"(pattern)
                     : "cc", "memory");
#else
    __asm__ volatile(
        LOOP("ldrb %w[way], [%[pattern], %[index]]\n tst %w[way], %w[way]\n"
             "b.eq 2f\n 2: add %[index], %[index], #1\n and %[index], %[index], 2047\n")
        : [n] "+r"(n), [index] "+r"(index), [way] "=&r"(way)
        : [pattern] "r"(pattern)
        : "cc", "memory");
#endif
}

#if defined(__x86_64__)
static void rep_memset(uint64_t n) {
    static char target[MEMSET_BYTES];
    __asm__ volatile(LOOP("mov %[target], %%rdi\n mov $8192, %%ecx\n rep stosb\n")
                     : [n] "+r"(n)
                     : [target] "r"(target), "a"(0)
                     : "rcx", "rdi", "cc", "memory");
}

static void avx512(uint64_t n) {
    __asm__ volatile(LOOP("vpaddq %%zmm16, %%zmm17, %%zmm18\n") : [n] "+r"(n)::"cc");
}

/* An instruction of three bytes lies across two pages; emulators have counted such ones twice. */
static void crossing(uint64_t n) {
    uint64_t x = 1;
    __asm__ volatile("jmp 1f\n .p2align 12\n .skip 4089, 0xcc\n"
                     "1: add %[one], %[x]\n add %[one], %[x]\n add %[one], %[x]\n"
                     "dec %[n]\n jnz 1b\n"
                     : [n] "+r"(n), [x] "+r"(x)
                     : [one] "r"(UINT64_C(1))
                     : "cc");
}

static void system_call(uint64_t n) {
    __asm__ volatile(LOOP("mov $39, %%eax\n syscall\n nop\n") /* getpid */
                     : [n] "+r"(n)::"rax", "rcx", "r11", "cc", "memory");
}
#endif

/* The cycles of a load that hits L1 are known of AMD's cores; other makers vary by model. */
static int known_load_cycles(void) {
#if defined(__x86_64__)
    return __builtin_cpu_is("amd") ? LOAD_CYCLES : 0;
#else
    return 0;
#endif
}

static const struct kernel {
    unsigned turns_a_loop, instructions_a_loop;
    double cycles_a_turn; /* 0: not known */
    void (*run)(uint64_t loops);
} kernels[] = {
    {1, 7, 0, loop7},
    {UNROLL, UNROLL + 2, MUL_CYCLES, mul},
    {UNROLL, UNROLL + 2, 1, add1},
    {UNROLL, 2 * UNROLL + 2, 2, add2},
    {UNROLL, UNROLL + 2, 0, wide},
    {UNROLL, UNROLL + 2, -1, chase},
    {1, 7, 0, branchy},
#if defined(__x86_64__)
    {1, 5, 0, rep_memset},
    {1, 3, 0, avx512},
    {1, 5, 0, system_call},
    {1, 5, 0, crossing},
#endif
};
static const char *const names[] = {
    "loop7",  "mul",    "add1",    "add2",     "wide", "chase", "branchy",
#if defined(__x86_64__)
    "memset", "avx512", "syscall", "crossing",
#endif
    NULL,
};

static uint64_t chosen;
static const struct bench_option options[] = {
    {"kernel", "the loop to run", &chosen, 0, 0, names, 1},
    BENCH_BARE_ITERS,
    BENCH_OPTIONS_END,
};

static void work(struct bench_thread *self, uint64_t turns) {
    const struct kernel *kernel = &kernels[chosen];
    const uint64_t loops = (turns + kernel->turns_a_loop - 1) / kernel->turns_a_loop;
    if (loops) {
        kernel->run(loops);
    }
    self->turns += loops * kernel->turns_a_loop;
}

static void report(struct line *line) {
    const struct kernel *kernel = &kernels[chosen];
    const double cycles = kernel->cycles_a_turn < 0 ? known_load_cycles() : kernel->cycles_a_turn;
    line_add(line, ",\"truth\":{\"instructions_per_op\":%g",
             (double)kernel->instructions_a_loop / kernel->turns_a_loop);
    if (cycles > 0) {
        line_add(line, ",\"cycles_per_op\":%g", cycles);
    }
    line_add(line, "}");
}

const struct bench benchmark = {
    .name = "haktruth",
    .summary = "Runs a loop of known cost: what a counter or an estimate is judged by.",
    .iteration = "turns of the loop, rounded up to its unrolling",
    .options = options,
    .default_iters = 100000000,
    .default_threads = 1,
    .min_threads = 1,
    .work = work,
    .report = report,
};
