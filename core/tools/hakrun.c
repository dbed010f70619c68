/* hakrun [--parent PID] [--preload LIST] [--account FD] [--trace-exec FD | --trace-calls FD]
 *        [--] PROGRAM [ARGS...]
 *
 * Starts PROGRAM from a process so small that nothing of it shows in the program's figures: a
 * child inherits the resident high-water mark of whoever started it. See contract 5 of
 * docs/architecture.md for what it writes. */
#define _GNU_SOURCE /* wait4, pipe2, environ */
#include "hakrun_trace.h"
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { EXIT_USAGE = 2, EXIT_NOT_STARTED = 127 };

struct options {
    const char *preload;
    pid_t parent; /* who may not die before the program; 0: anybody */
    int account_fd;
    struct trace trace;
    char **command;
};

static volatile pid_t child; /* for the signal handler */

__attribute__((noreturn)) static void refuse(const char *what, const char *which) {
    fprintf(stderr, "hakrun: %s %s\n", what, which);
    exit(EXIT_USAGE);
}

/* What `text` says, or -1. */
static int number(const char *text) {
    char *end = NULL;
    const long value = strtol(text, &end, 10);
    return !*text || *end || value < 0 || value > INT_MAX ? -1 : (int)value;
}

static int descriptor(const char *text) {
    const int fd = number(text);
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        refuse("not an open descriptor:", text);
    }
    return fd;
}

static pid_t process(const char *text) {
    const pid_t pid = number(text);
    if (pid <= 0) {
        refuse("not a process:", text);
    }
    return pid;
}

static struct options parse(int argc, char **argv) {
    struct options options = {.account_fd = -1, .trace = {.what = TRACE_NOTHING}};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (i + 1 == argc) {
            refuse("no value for", argv[i]);
        }
        if (strcmp(argv[i], "--parent") == 0) {
            options.parent = process(argv[i + 1]);
        } else if (strcmp(argv[i], "--preload") == 0) {
            options.preload = argv[i + 1];
        } else if (strcmp(argv[i], "--account") == 0) {
            options.account_fd = descriptor(argv[i + 1]);
        } else if (strcmp(argv[i], "--trace-exec") == 0) {
            options.trace = (struct trace){TRACE_IMAGES, descriptor(argv[i + 1])};
        } else if (strcmp(argv[i], "--trace-calls") == 0) {
            options.trace = (struct trace){TRACE_CALLS, descriptor(argv[i + 1])};
        } else {
            refuse("unknown option", argv[i]);
        }
    }
    if (i >= argc) {
        refuse("no program;",
               "hakrun [--parent PID] [--preload LIST] [--account FD] [--trace-exec FD | "
               "--trace-calls FD] -- PROGRAM");
    }
    options.command = argv + i;
    return options;
}

/* Becomes the program; returns only if that failed. */
static void become(const struct options *options) {
    const char *inherited = getenv("LD_PRELOAD");
    if (options->preload && inherited && *inherited) {
        char *list = NULL;
        if (asprintf(&list, "%s:%s", options->preload, inherited) < 0) {
            return;
        }
        setenv("LD_PRELOAD", list, 1);
    } else if (options->preload) {
        setenv("LD_PRELOAD", options->preload, 1);
    }
    if (strchr(options->command[0], '/')) {
        /* execvp would hand a program for another machine to the shell, as if it were a script. */
        execv(options->command[0], options->command);
    } else {
        execvp(options->command[0], options->command);
    }
}

static void forward(int signal_number) {
    if (child > 0) {
        kill(child, signal_number);
    }
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint64_t as_ns(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_usec * 1000U;
}

static void account(int fd, int exec_errno, uint64_t wall_ns, const struct rusage *used) {
    struct line line = {.length = 0};
    line_add(&line, "{\"hakrun\":1,\"exec_errno\":%d,\"wall_ns\":%llu", exec_errno,
             (unsigned long long)wall_ns);
    line_add(&line, ",\"user_ns\":%llu,\"system_ns\":%llu,\"max_rss_bytes\":%llu",
             (unsigned long long)as_ns(used->ru_utime), (unsigned long long)as_ns(used->ru_stime),
             (unsigned long long)used->ru_maxrss * 1024);
    line_add(&line, ",\"minor_faults\":%ld,\"major_faults\":%ld", used->ru_minflt, used->ru_majflt);
    line_add(&line, ",\"voluntary_switches\":%ld,\"involuntary_switches\":%ld}\n", used->ru_nvcsw,
             used->ru_nivcsw);
    line_write(&line, fd);
}

/* Ends as the program did: the same exit code, or the same signal without a second core file. */
__attribute__((noreturn)) static void end_like(int status) {
    if (WIFSIGNALED(status)) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

/* From now on, this process gets `signal_number` when `parent` dies; at once if it is dead. */
static void die_with(pid_t parent, int signal_number) {
    prctl(PR_SET_PDEATHSIG, signal_number);
    if (getppid() != parent) {
        raise(signal_number);
    }
}

/* Nobody waits for the program any more: it ends, and what it started in our process group. */
static void orphaned(int signal_number) {
    (void)signal_number;
    if (child > 0) {
        kill(child, SIGKILL);
    }
    if (getpgrp() == getpid()) {
        kill(0, SIGKILL);
    }
    _exit(EXIT_NOT_STARTED);
}

/* Starts the program in a child that waits for `go` and tells its exec's errno on `failed`. */
static pid_t start(const struct options *options, const int go[2], const int failed[2]) {
    const pid_t self = getpid(), pid = fork();
    if (pid == 0) {
        char ready;
        if (options->parent) {
            die_with(self, SIGKILL);
        }
        if (read(go[0], &ready, 1) == 1) {
            become(options);
        }
        const int error = errno;
        _exit(write(failed[1], &error, sizeof error) == sizeof error ? EXIT_NOT_STARTED
                                                                     : EXIT_NOT_STARTED + 1);
    }
    close(go[0]);
    close(failed[1]);
    return pid;
}

static int supervise(const struct options *options) {
    int go[2], failed[2], status = 0, exec_errno = 0;
    struct rusage used = {.ru_maxrss = 0};
    if (pipe2(go, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0) {
        refuse("cannot start a program:", strerror(errno));
    }
    for (const int *s = (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0}; *s; s++) {
        signal(*s, forward);
    }
    if (options->parent) {
        signal(SIGUSR2, orphaned);
        die_with(options->parent, SIGUSR2);
    }
    child = start(options, go, failed);
    if (child < 0) {
        refuse("cannot start a program:", strerror(errno));
    }
    signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
    const struct trace *trace = &options->trace;
    const int traced = trace->what != TRACE_NOTHING && trace_attach(child, trace) == 0;
    const uint64_t begin_ns = now_ns();
    if (write(go[1], "", 1) != 1) {
        kill(child, SIGKILL);
    }
    if (traced) {
        trace_until_end(child, trace, &status, &used);
    } else {
        while (wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
        }
    }
    const uint64_t wall_ns = now_ns() - begin_ns;
    if (read(failed[0], &exec_errno, sizeof exec_errno) != sizeof exec_errno) {
        exec_errno = 0;
    }
    if (options->account_fd >= 0) {
        account(options->account_fd, exec_errno, wall_ns, &used);
    } else if (exec_errno) {
        fprintf(stderr, "hakrun: cannot start %s: %s\n", options->command[0], strerror(exec_errno));
    }
    end_like(status);
}

int main(int argc, char **argv) {
    const struct options options = parse(argc, argv);
    if (options.account_fd >= 0 || options.trace.what != TRACE_NOTHING) {
        return supervise(&options);
    }
    if (options.parent) {
        die_with(options.parent, SIGKILL);
    }
    become(&options);
    fprintf(stderr, "hakrun: cannot start %s: %s\n", options.command[0], strerror(errno));
    return EXIT_NOT_STARTED;
}
