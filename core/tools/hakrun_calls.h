/* Reports the system calls by which a traced program gets memory and gives it back. */
#ifndef HAKRUN_CALLS_H
#define HAKRUN_CALLS_H

#include <sys/types.h>

/* A task stands before or behind a system call. */
void calls_at_stop(pid_t task, int report_fd);

/* A process has executed another program. */
void calls_at_exec(pid_t task, int report_fd);

#endif
