/* Each image is reported while it stands at its first instruction, so /proc shows what it was
 * started with: its environment, its auxiliary vector, its file. */
#define _GNU_SOURCE /* wait4, __WALL */
#include "hakrun_trace.h"

#include "hakrun_calls.h"
#include "line.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { EVENT_SHIFT = 16, PROC_PATH_BYTES = 64, AT_CALL = SIGTRAP | 0x80 };

int trace_attach(pid_t child, const struct trace *trace) {
    const long follow = PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                        PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD;
    if (ptrace(PTRACE_SEIZE, child, NULL, follow) == 0) {
        return 0;
    }
    struct line line = {.length = 0};
    line_add(&line, "{\"%s\":1,\"error\":", trace->what == TRACE_CALLS ? "hakcall" : "hakexec");
    line_add_string(&line, strerror(errno));
    line_add(&line, "}\n");
    line_write(&line, trace->report_fd);
    return -1;
}

/* Opens /proc/PID/NAME for reading; NULL if it cannot be read. */
static FILE *open_proc(pid_t pid, const char *name) {
    char path[PROC_PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* The value of LD_PRELOAD that the image was started with, or NULL. The caller frees it. */
static char *preload_of(pid_t pid) {
    static const char wanted[] = "LD_PRELOAD=";
    FILE *file = open_proc(pid, "environ");
    char *entry = NULL, *value = NULL;
    size_t capacity = 0;
    while (file && !value && getdelim(&entry, &capacity, '\0', file) > 0) {
        if (strncmp(entry, wanted, sizeof wanted - 1) == 0) {
            value = strdup(entry + sizeof wanted - 1);
        }
    }
    free(entry);
    if (file) {
        fclose(file);
    }
    return value;
}

/* What the kernel told the image under `key`, or 0. */
static unsigned long auxiliary(pid_t pid, unsigned long key) {
    FILE *file = open_proc(pid, "auxv");
    unsigned long pair[2] = {AT_NULL, 0}, value = 0;
    while (file && fread(pair, sizeof pair, 1, file) == 1 && pair[0] != AT_NULL) {
        if (pair[0] == key) {
            value = pair[1];
        }
    }
    if (file) {
        fclose(file);
    }
    return value;
}

static pid_t parent_of(pid_t pid) {
    static const char wanted[] = "PPid:";
    FILE *file = open_proc(pid, "status");
    char text[256];
    long parent = 0;
    while (file && fgets(text, sizeof text, file)) {
        if (strncmp(text, wanted, sizeof wanted - 1) == 0) {
            parent = strtol(text + sizeof wanted - 1, NULL, 10);
        }
    }
    if (file) {
        fclose(file);
    }
    return (pid_t)parent;
}

static void report_image(pid_t pid, int report_fd) {
    char link[PROC_PATH_BYTES], exe[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    const ssize_t length = readlink(link, exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    char *preload = preload_of(pid);
    struct line line = {.length = 0};
    line_add(&line, "{\"hakexec\":1,\"pid\":%d,\"ppid\":%d,\"exe\":", (int)pid,
             (int)parent_of(pid));
    line_add_string(&line, exe);
    line_add(&line, ",\"preload\":");
    line_add_string(&line, preload);
    /* Without an interpreter nothing was mapped for one. */
    line_add(&line, ",\"static\":%s,\"secure\":%s}\n", auxiliary(pid, AT_BASE) ? "false" : "true",
             auxiliary(pid, AT_SECURE) ? "true" : "false");
    line_write(&line, report_fd);
    free(preload);
}

static int is_stop_signal(int number) {
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* Lets a stopped task go on as if nobody watched. */
static void resume(pid_t pid, int status, const struct trace *trace) {
    const int event = status >> EVENT_SHIFT;
    const long number = WSTOPSIG(status);
    if (number == AT_CALL) {
        calls_at_stop(pid, trace->report_fd);
    } else if (event == PTRACE_EVENT_EXEC && trace->what == TRACE_CALLS) {
        calls_at_exec(pid, trace->report_fd);
    } else if (event == PTRACE_EVENT_EXEC) {
        report_image(pid, trace->report_fd);
    }
    if (event == PTRACE_EVENT_STOP && is_stop_signal((int)number)) {
        ptrace(PTRACE_LISTEN, pid, NULL, NULL); /* stopped by job control: stays stopped */
    } else {
        ptrace(trace->what == TRACE_CALLS ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
               event || number == AT_CALL ? 0L : number);
    }
}

void trace_until_end(pid_t child, const struct trace *trace, int *status, struct rusage *used) {
    for (;;) {
        const pid_t pid = wait4(-1, status, __WALL, used);
        if (pid < 0 && errno != EINTR) {
            return;
        }
        if (pid > 0 && WIFSTOPPED(*status)) {
            resume(pid, *status, trace);
        } else if (pid == child) {
            return;
        }
    }
}
