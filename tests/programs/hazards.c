/* A region of interest in which a program does what could lose or kill a stepper: hazards NAME. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern void hakroi_begin(void) __attribute__((weak));
extern void hakroi_end(void) __attribute__((weak));

static volatile int handled;

static void nothing(void) {}

static void block_all_signals(void) {
    sigset_t all, old, now;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_sigmask(SIG_BLOCK, &all, &now);
    handled = sigismember(&now, SIGUSR1) && !sigismember(&old, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void *live(void *argument) {
    return argument;
}

static void start_a_thread(void) {
    pthread_t thread;
    void *result = NULL;
    pthread_create(&thread, NULL, live, (void *)&handled);
    pthread_join(thread, &result);
    handled = result == &handled;
}

static void start_a_process(void) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        _exit(7);
    }
    waitpid(child, &status, 0);
    handled = WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void on_signal(int number) {
    handled = number == SIGUSR1;
}

static void take_a_signal(void) {
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
}

static void clear_the_flag(void) {
#if defined(__x86_64__)
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~0x100ULL);
#endif
}

int main(int argc, char **argv) {
    static const struct hazard {
        const char *name;
        void (*run)(void);
    } hazards[] = {
        {"nothing", nothing},      {"block", block_all_signals}, {"thread", start_a_thread},
        {"fork", start_a_process}, {"signal", take_a_signal},    {"clear", clear_the_flag},
    };
    for (unsigned i = 0; argc == 2 && i < sizeof hazards / sizeof *hazards; i++) {
        if (strcmp(hazards[i].name, argv[1]) == 0) {
            if (hakroi_begin) {
                hakroi_begin();
            }
            hazards[i].run();
            if (hakroi_end) {
                hakroi_end();
            }
            puts(handled ? "handled" : "done");
            return 0;
        }
    }
    return 2;
}
