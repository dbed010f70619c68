/* Where a preloaded tool writes its lines: a pipe that the program inherits and knows nothing of.
 *
 * The program may close the descriptor and open something of its own under the number, and it may
 * outlive the reader. Neither may do it any harm. */
#ifndef HAK_REPORT_H
#define HAK_REPORT_H

#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct report {
    int fd; /* -1 if nobody wants to know */
    dev_t device;
    ino_t inode;
};

/* Whether the descriptor still is the pipe that it was; at first, whether it is a pipe. */
static inline int report_is_open(const struct report *report) {
    struct stat status;
    return report->fd >= 0 && fstat(report->fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
           (!report->inode || (report->inode == status.st_ino && report->device == status.st_dev));
}

/* Opens the pipe that the environment variable `name` tells, for children as well. */
static inline struct report report_open(const char *name) {
    struct report report = {.fd = line_descriptor(name), .inode = 0};
    struct stat status;
    if (!report_is_open(&report) || fstat(report.fd, &status) != 0) {
        return (struct report){.fd = -1};
    }
    fcntl(report.fd, F_SETFD, 0); /* not FD_CLOEXEC */
    report.device = status.st_dev;
    report.inode = status.st_ino;
    return report;
}

/* Writes the line if the pipe is still there. The SIGPIPE of a reader that is gone is held back and
 * taken in; errno stays. */
static inline void report_line(const struct report *report, const struct line *line) {
    const int before_errno = errno;
    sigset_t pipe_only, before;
    if (!report_is_open(report)) {
        errno = before_errno;
        return;
    }
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    if (line_write(line, report->fd) != 0 && errno == EPIPE && !sigismember(&before, SIGPIPE)) {
        sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0});
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = before_errno;
}

/* The file of the running program, "" if it cannot be told. */
static inline void report_exe(char path[PATH_MAX]) {
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
}

#endif
