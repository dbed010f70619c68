/* libhakstep.so: counts the instructions of the region of interest by executing them one by one.
 *
 * Preloaded. The first thread that enters hakroi_begin sets the processor's trap flag on itself;
 * from then on every instruction ends in SIGTRAP, until hakroi_end. Other threads run free.
 * See contract 5 of docs/architecture.md for the line it writes to HAKSTEP_FD.
 *
 * HAKSTEP_LIMIT=N   end after N steps; the program goes on unobserved
 * HAKSTEP_TRACE=F   also write the address of every instruction, in order, to the file F:
 *                   "HAKSTEP1", the length of what follows as 64 bits, /proc/self/maps as text,
 *                   then 64 bits an instruction, all in the byte order of the machine
 */
#define _GNU_SOURCE /* REG_RIP */
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

void hakroi_begin(void);
void hakroi_end(void);

static void report_error(int fd, const char *what, int error) {
    struct line line = {.length = 0};
    line_add(&line, "{\"hakstep\":1,\"error\":\"%s%s%s\"}\n", what, error ? ": " : "",
             error ? strerror(error) : "");
    line_write(&line, fd);
}

#if defined(__x86_64__)

enum {
    TRAP_FLAG = 0x100,
    SIGNAL_STACK_BYTES = 256 << 10, /* frames grow with the vector registers they save */
    TRACE_ENTRIES = 1 << 16,
    SYSCALL_BYTES = 2,
};
static const uint64_t trap_bit = UINT64_C(1) << (SIGTRAP - 1); /* in the kernel's signal sets */

static struct {
    uint64_t instructions, steps, limit;
    uint64_t last_ip;
    int fd, trace_fd;
    volatile int ending, ended; /* asked to stop; has stopped */
    struct sigaction old_action;
    stack_t old_stack;
    uint64_t *trace;
    size_t traced; /* entries in `trace` that are not in the file yet */
} step = {.fd = -1, .trace_fd = -1};

static atomic_flag taken = ATOMIC_FLAG_INIT;
static _Thread_local volatile int stepped __attribute__((tls_model("initial-exec")));

static void flush_trace(void) {
    const size_t bytes = step.traced * sizeof *step.trace;
    if (step.trace_fd >= 0 && write(step.trace_fd, step.trace, bytes) != (ssize_t)bytes) {
        report_error(step.fd, "trace", errno);
        step.trace_fd = -1;
    }
    step.traced = 0;
}

static void trace_address(uint64_t ip) {
    if (step.trace_fd < 0) {
        return;
    }
    step.trace[step.traced++] = ip;
    if (step.traced == TRACE_ENTRIES) {
        flush_trace();
    }
}

/* Is the instruction a string instruction with a REP prefix? Reads only bytes that belong to it. */
static int is_repeated(const uint8_t *code) {
    int repeat = 0;
    for (;; code++) {
        const uint8_t byte = *code;
        const int rex = (byte & 0xf0) == 0x40, segment = (byte & 0xfe) == 0x64;
        if (byte == 0xf2 || byte == 0xf3) {
            repeat = 1;
        } else if (!rex && !segment && byte != 0x66 && byte != 0x67) {
            break;
        }
    }
    return repeat && ((*code >= 0x6c && *code <= 0x6f) || (*code >= 0xa4 && *code <= 0xaf));
}

static int is_syscall(const uint8_t *code) {
    return code[0] == 0x0f && code[1] == 0x05;
}

/* A blocked SIGTRAP would kill the process at its next step. So a system call that is about to
 * block it is carried out here on the mask that the return from this handler sets, without it. */
static void keep_trap_unblocked(ucontext_t *context) {
    greg_t *reg = context->uc_mcontext.gregs;
    uint64_t mask, set;
    if (reg[REG_RAX] != SYS_rt_sigprocmask || !reg[REG_RSI] || reg[REG_R10] != sizeof set) {
        return;
    }
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    memcpy(&set, (const void *)reg[REG_RSI], sizeof set);
    if (reg[REG_RDI] == SIG_UNBLOCK || !(set & trap_bit)) {
        return;
    }
    if (reg[REG_RDX]) {
        memcpy((void *)reg[REG_RDX], &mask, sizeof mask);
    }
    mask = (reg[REG_RDI] == SIG_BLOCK ? mask | set : set) & ~trap_bit;
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
    reg[REG_RAX] = 0;
    reg[REG_RIP] += SYSCALL_BYTES;
}

/* Runs after every instruction; the context shows the one that comes next. */
static void on_step(int number, siginfo_t *info, void *data) {
    ucontext_t *context = data;
    greg_t *reg = context->uc_mcontext.gregs;
    (void)number;
    if (info->si_code != TRAP_TRACE) {
        signal(SIGTRAP, SIG_DFL); /* a breakpoint of somebody else: let it be seen */
        return;
    }
    if (!stepped || step.ending || step.steps == step.limit) {
        /* A thread that the stepped one started inherits the flag. */
        step.ended = step.ended || stepped;
        reg[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    const uint64_t ip = (uint64_t)reg[REG_RIP];
    step.steps++;
    if (ip == step.last_ip && is_repeated((const uint8_t *)ip)) {
        return; /* another turn of the same instruction */
    }
    step.last_ip = ip;
    step.instructions++;
    trace_address(ip);
    if (is_syscall((const uint8_t *)ip)) {
        /* It is left with the flag set, which traps after the instruction behind it. */
        step.instructions++;
        trace_address(ip + SYSCALL_BYTES);
        keep_trap_unblocked(context);
    }
}

static void stop_in_child(void) {
    step.ending = 1;
}

static int write_all(int fd, const void *data, size_t bytes) {
    return write(fd, data, bytes) == (ssize_t)bytes ? 0 : -1;
}

/* The head of the trace: what was mapped where. 0, or -1 with errno set. */
static int open_trace(const char *path) {
    static char maps[1 << 20];
    uint64_t length = 0;
    const int source = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t got = source < 0 ? -1 : 1;
    while (got > 0 && length < sizeof maps) {
        got = read(source, maps + length, sizeof maps - length);
        length += got > 0 ? (uint64_t)got : 0;
    }
    if (source >= 0) {
        close(source);
    }
    step.trace = mmap(NULL, TRACE_ENTRIES * sizeof *step.trace, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    step.trace_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return got == 0 && step.trace != MAP_FAILED && step.trace_fd >= 0 &&
                   write_all(step.trace_fd, "HAKSTEP1", 8) == 0 &&
                   write_all(step.trace_fd, &length, sizeof length) == 0 &&
                   write_all(step.trace_fd, maps, length) == 0
               ? 0
               : -1;
}

static int install_handler(void) {
    void *memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    const stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES};
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    return memory != MAP_FAILED && sigaltstack(&stack, &step.old_stack) == 0 &&
                   sigaction(SIGTRAP, &action, &step.old_action) == 0 &&
                   pthread_sigmask(SIG_UNBLOCK, &trap, NULL) == 0 &&
                   pthread_atfork(NULL, NULL, stop_in_child) == 0
               ? 0
               : -1;
}

void hakroi_begin(void) {
    if (step.fd < 0 || atomic_flag_test_and_set(&taken)) {
        return;
    }
    const char *path = getenv("HAKSTEP_TRACE");
    if (path && open_trace(path) != 0) {
        report_error(step.fd, "trace", errno);
        return;
    }
    if (install_handler() != 0) {
        report_error(step.fd, "signal handler", errno);
        return;
    }
    stepped = 1;
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
}

void hakroi_end(void) {
    if (!stepped) {
        return;
    }
    const int lost = !step.ended && !(__builtin_ia32_readeflags_u64() & TRAP_FLAG);
    const int limited = step.ended;
    step.ending = 1; /* the next step is the last */
    stepped = 0;
    sigaction(SIGTRAP, &step.old_action, NULL);
    sigaltstack(&step.old_stack, NULL);
    flush_trace();
    if (lost) {
        report_error(step.fd, "the program cleared the trap flag", 0);
        return;
    }
    struct line line = {.length = 0};
    line_add(&line, "{\"hakstep\":1,\"instructions\":%llu,\"steps\":%llu%s}\n",
             (unsigned long long)step.instructions, (unsigned long long)step.steps,
             limited ? ",\"limit\":true" : "");
    line_write(&line, step.fd);
}

__attribute__((constructor)) static void configure(void) {
    const char *limit = getenv("HAKSTEP_LIMIT");
    step.fd = line_descriptor("HAKSTEP_FD");
    step.limit = limit ? strtoull(limit, NULL, 10) : UINT64_MAX;
}

#else

void hakroi_begin(void) {
    const int fd = line_descriptor("HAKSTEP_FD");
    if (fd >= 0) {
        report_error(fd, "unsupported: this processor has no trap flag for user programs", 0);
    }
}

void hakroi_end(void) {}

#endif
