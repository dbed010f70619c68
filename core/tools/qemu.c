/* libhakqemu.so: a plugin of qemu-user that counts executed instructions.
 *
 *   qemu-x86_64 -plugin libhakqemu.so,fd=N PROGRAM
 *
 * Every thread has its own counter; what runs between the markers of bench.h is counted apart, on
 * all threads, from the first thread's begin to the last one's end. See contract 5 of
 * docs/architecture.md for the line that each process writes at its exit.
 *
 * Debian ships no header of the plugin interface, so the few functions of it are declared here, as
 * QEMU's manual ("TCG plugins") describes them. They are looked up in the emulator itself. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "line.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
};

void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned vcpu));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned vcpu, void *),
                                          int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *,
                                            void (*)(unsigned vcpu, void *), int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
/* Up to version 2 it returns the bytes and has no other parameters, since then it copies them. */
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *copy, size_t bytes);

extern __attribute__((visibility("default"))) int qemu_plugin_version;
__attribute__((visibility("default"))) int
qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv);

enum { VCPUS = 1024, CACHE_LINE = 128, MAX_INSN_BYTES = 16, NO_REGISTERS = 0, COPIES_DATA = 3 };

/* The markers of bench.h as bytes. */
static const uint8_t x86_begin[] = {0x0f, 0x1f, 0x80, 0x42, 0x4b, 0x41, 0x48};
static const uint8_t x86_end[] = {0x0f, 0x1f, 0x80, 0x45, 0x4b, 0x41, 0x48};
static const uint8_t arm_begin[] = {0x5f, 0x68, 0xe9, 0xd2};
static const uint8_t arm_end[] = {0xbf, 0x68, 0xe9, 0xd2};

struct count {
    uint64_t instructions;
    uint64_t rep_extra; /* those of them that are a further turn of a REP-prefixed one */
};

/* A translated block: what its execution adds. */
struct block {
    uint64_t instructions;
    uint64_t first, last; /* addresses of its first and last instruction */
    bool repeats;         /* the last one has a REP prefix */
};

/* Only the thread of this virtual CPU writes here. */
static struct vcpu {
    _Alignas(CACHE_LINE) struct count count;
    const struct block *previous;
} vcpus[VCPUS];

static struct {
    pthread_mutex_t lock;
    int fd, copies_data;
    unsigned seen, depth; /* virtual CPUs; threads inside the region */
    bool met;
    struct count base, region;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

__attribute__((visibility("default"))) int qemu_plugin_version;

/* Interfaces from version 2 on lack qemu_plugin_n_vcpus and refuse plugins of version 1. */
__attribute__((constructor)) static void choose_version(void) {
    qemu_plugin_version = dlsym(RTLD_DEFAULT, "qemu_plugin_n_vcpus") ? 1 : 2;
}

static struct vcpu *vcpu_of(unsigned index) {
    return &vcpus[index % VCPUS];
}

static struct count total(void) {
    struct count sum = {0, 0};
    for (unsigned i = 0; i < VCPUS; i++) {
        sum.instructions += vcpus[i].count.instructions;
        sum.rep_extra += vcpus[i].count.rep_extra;
    }
    return sum;
}

static void on_vcpu(plugin_id id, unsigned index) {
    (void)id;
    (void)index;
    __atomic_fetch_add(&state.seen, 1, __ATOMIC_RELAXED);
}

/* A block that begins with what should have been the last instruction of the block before: that
 * one has a REP prefix and takes another turn, as a block of its own; or it lies across two pages,
 * and QEMU up to 8 counted it to the first block, cut that before it, and begins anew with it. */
static void on_block(unsigned index, void *data) {
    const struct block *block = data;
    struct vcpu *vcpu = vcpu_of(index);
    const struct block *previous = vcpu->previous;
    vcpu->count.instructions += block->instructions;
    if (previous && previous->last == block->first) {
        vcpu->count.rep_extra += previous->repeats;
        vcpu->count.instructions -= !previous->repeats && previous->instructions > 1;
    }
    vcpu->previous = block;
}

/* `data`: how many instructions of the block stand behind the marker. They are counted already. */
static void on_begin(unsigned index, void *data) {
    (void)index;
    pthread_mutex_lock(&state.lock);
    if (state.depth++ == 0) {
        state.base = total();
        state.base.instructions -= (uintptr_t)data;
        state.met = true;
    }
    pthread_mutex_unlock(&state.lock);
}

static void on_end(unsigned index, void *data) {
    (void)index;
    pthread_mutex_lock(&state.lock);
    if (state.depth > 0 && --state.depth == 0) {
        const struct count now = total();
        state.region.instructions +=
            now.instructions - state.base.instructions - (uintptr_t)data - 1;
        state.region.rep_extra += now.rep_extra - state.base.rep_extra;
    }
    pthread_mutex_unlock(&state.lock);
}

static size_t read_bytes(const struct qemu_plugin_insn *insn, uint8_t bytes[MAX_INSN_BYTES]) {
    const size_t size = qemu_plugin_insn_size(insn);
    const size_t wanted = size < MAX_INSN_BYTES ? size : MAX_INSN_BYTES;
    const void *data = qemu_plugin_insn_data(insn, bytes, wanted);
    if (!state.copies_data) {
        memcpy(bytes, data, wanted);
    }
    return wanted;
}

static bool is(const uint8_t *bytes, size_t size, const uint8_t *other, size_t other_size) {
    return size == other_size && memcmp(bytes, other, size) == 0;
}

static bool is_repeated(const uint8_t *bytes, size_t size) {
    bool repeat = false;
    size_t i = 0;
    for (; i + 1 < size; i++) {
        if (bytes[i] == 0xf2 || bytes[i] == 0xf3) {
            repeat = true;
        } else if ((bytes[i] & 0xf0) != 0x40 && (bytes[i] & 0xfe) != 0x64 &&
                   (bytes[i] & 0xfe) != 0x66) {
            break; /* neither REX nor segment, operand or address size */
        }
    }
    const uint8_t opcode = bytes[i];
    return repeat && ((opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xaf));
}

/* Looks at one instruction that has `behind` others after it in its block: watches it if it is a
 * marker. Does it have a REP prefix? */
static bool inspect(struct qemu_plugin_insn *insn, uintptr_t behind) {
    uint8_t bytes[MAX_INSN_BYTES] = {0};
    const size_t size = read_bytes(insn, bytes);
    if (is(bytes, size, x86_begin, sizeof x86_begin) ||
        is(bytes, size, arm_begin, sizeof arm_begin)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_begin, NO_REGISTERS, (void *)behind);
    } else if (is(bytes, size, x86_end, sizeof x86_end) ||
               is(bytes, size, arm_end, sizeof arm_end)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, NO_REGISTERS, (void *)behind);
    }
    return is_repeated(bytes, size);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb) {
    (void)id;
    const size_t length = qemu_plugin_tb_n_insns(tb);
    struct block *block = calloc(1, sizeof *block); /* lives as long as the translation may */
    if (!block || !length) {
        free(block);
        return;
    }
    block->instructions = length;
    block->first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->last = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, length - 1));
    for (size_t i = 0; i < length; i++) {
        block->repeats = inspect(qemu_plugin_tb_get_insn(tb, i), length - 1 - i);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

static void report(plugin_id id, void *data) {
    (void)id;
    (void)data;
    const struct count all = total();
    const struct count *counted = state.met ? &state.region : &all;
    struct line line = {.length = 0};
    line_add(&line, "{\"hakqemu\":1,\"pid\":%d,\"roi\":%s,\"instructions\":%llu,\"total\":%llu,",
             (int)getpid(), state.met ? "true" : "false", (unsigned long long)counted->instructions,
             (unsigned long long)all.instructions);
    line_add(&line, "\"rep_extra\":%llu,\"vcpus\":%u}\n", (unsigned long long)counted->rep_extra,
             state.seen);
    line_write(&line, state.fd);
}

/* A forked process reports what it did itself. */
static void start_afresh(void) {
    memset(vcpus, 0, sizeof vcpus);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv) {
    static const char fd_name[] = "fd=";
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], fd_name, sizeof fd_name - 1) == 0) {
            state.fd = (int)strtol(argv[i] + sizeof fd_name - 1, NULL, 10);
        }
    }
    if (state.fd < 0 || info->system_emulation) {
        fprintf(stderr, "libhakqemu: wants fd=N, and emulation of one program\n");
        return -1;
    }
    state.copies_data = info->version.cur >= COPIES_DATA;
    qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, report, NULL);
    return pthread_atfork(NULL, NULL, start_afresh);
}
