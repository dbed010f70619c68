/* A call's arguments are seen before it, its result behind it: between the two stops of a task the
 * first is remembered. */
#define _GNU_SOURCE /* PTRACE_GET_SYSCALL_INFO */
#include "hakrun_calls.h"

#include "line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

enum { ARGUMENTS = 4, PROC_PATH_BYTES = 64 };

static const struct {
    long number;
    const char *name;
} watched[] = {
    {SYS_mmap, "mmap"},     {SYS_munmap, "munmap"}, {SYS_madvise, "madvise"},
    {SYS_mremap, "mremap"}, {SYS_brk, "brk"},
};

struct entry {
    pid_t task;
    const char *name; /* NULL: it is in no call that matters */
    uint64_t at_ns, args[ARGUMENTS];
};

static struct entry *entries; /* one a task that ever made such a call */
static size_t entry_count;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void report_error(const char *what, int report_fd) {
    struct line line = {.length = 0};
    line_add(&line, "{\"hakcall\":1,\"error\":");
    line_add_string(&line, what);
    line_add(&line, "}\n");
    line_write(&line, report_fd);
}

static const char *name_of(uint64_t number) {
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
        if ((uint64_t)watched[i].number == number) {
            return watched[i].name;
        }
    }
    return NULL;
}

static struct entry *find(pid_t task) {
    for (size_t i = 0; i < entry_count; i++) {
        if (entries[i].task == task) {
            return &entries[i];
        }
    }
    return NULL;
}

static struct entry *find_or_add(pid_t task) {
    struct entry *found = find(task);
    if (found) {
        return found;
    }
    struct entry *more = reallocarray(entries, entry_count + 1, sizeof *entries);
    if (!more) {
        return NULL;
    }
    entries = more;
    entries[entry_count] = (struct entry){.task = task};
    return &entries[entry_count++];
}

static void enter(pid_t task, const struct __ptrace_syscall_info *info, int report_fd) {
    const char *name = name_of(info->entry.nr);
    struct entry *entry = name ? find_or_add(task) : find(task);
    if (entry) {
        *entry = (struct entry){.task = task, .name = name, .at_ns = now_ns()};
        memcpy(entry->args, info->entry.args, sizeof entry->args);
    } else if (name) {
        report_error("out of memory", report_fd);
    }
}

static void leave(pid_t task, const struct __ptrace_syscall_info *info, int report_fd) {
    struct entry *entry = find(task);
    if (!entry || !entry->name) {
        return;
    }
    struct line line = {.length = 0};
    line_add(&line, "{\"hakcall\":1,\"task\":%d,\"name\":\"%s\",\"at_ns\":%llu,\"took_ns\":%llu",
             (int)task, entry->name, (unsigned long long)entry->at_ns,
             (unsigned long long)(now_ns() - entry->at_ns));
    for (int i = 0; i < ARGUMENTS; i++) {
        line_add(&line, "%s%llu", i ? "," : ",\"args\":[", (unsigned long long)entry->args[i]);
    }
    line_add(&line, "],\"result\":%lld,\"failed\":%s}\n", (long long)info->exit.rval,
             info->exit.is_error ? "true" : "false");
    line_write(&line, report_fd);
    entry->name = NULL;
}

void calls_at_stop(pid_t task, int report_fd) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info) < 0) {
        if (errno != ESRCH) { /* killed meanwhile */
            report_error(strerror(errno), report_fd);
        }
    } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        enter(task, &info, report_fd);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        leave(task, &info, report_fd);
    }
}

void calls_at_exec(pid_t task, int report_fd) {
    char link[PROC_PATH_BYTES], exe[PATH_MAX] = "";
    struct entry *entry = find(task);
    if (entry) {
        entry->name = NULL;
    }
    snprintf(link, sizeof link, "/proc/%d/exe", (int)task);
    const ssize_t length = readlink(link, exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    struct line line = {.length = 0};
    line_add(&line,
             "{\"hakcall\":1,\"task\":%d,\"name\":\"execve\",\"at_ns\":%llu,\"exe\":", (int)task,
             (unsigned long long)now_ns());
    line_add_string(&line, exe);
    line_add(&line, "}\n");
    line_write(&line, report_fd);
}
