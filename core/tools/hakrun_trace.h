/* Follows a process tree by ptrace and reports each program image that it executes, or each system
 * call that moves memory. */
#ifndef HAKRUN_TRACE_H
#define HAKRUN_TRACE_H

#include <sys/resource.h>
#include <sys/types.h>

enum trace_what { TRACE_NOTHING, TRACE_IMAGES, TRACE_CALLS };

struct trace {
    enum trace_what what;
    int report_fd;
};

/* Starts tracing `child`, which has not executed its program yet. Where ptrace is forbidden a line
 * with "error" is written and -1 returned: the program can still run untraced. */
int trace_attach(pid_t child, const struct trace *trace);

/* Lets the tree run until `child` itself has ended; fills in its wait status and its usage. What
 * it leaves behind goes on untraced when this process ends. */
void trace_until_end(pid_t child, const struct trace *trace, int *status, struct rusage *used);

#endif
