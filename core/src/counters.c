/* From the first line of a process to its last: where its counts go, and when they are written. */
#define _GNU_SOURCE
#include "counters.h"

#include "counters_dump.h"
#include "counters_file.h"
#include "counters_info.h"
#include "counters_text.h"

#include "config.h"
#include "hakmem.h"
#include "size_class.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What HAKMEM_COUNTERS asks for. */
enum target_kind { TO_NOTHING, TO_FILE, TO_FOLDER, TO_DESCRIPTOR };

static struct {
    enum target_kind kind;
    int fd;                    /* TO_DESCRIPTOR */
    char place[HK_PATH_BYTES]; /* absolute: the file that was asked for, or the folder */
    char path[HK_PATH_BYTES];  /* the document of this process */
    uint32_t dumps;            /* on demand, for their numbers */
    uint64_t fork_signals;
} target;

static void complain(const char *what, const char *path, int error) {
    char line[HK_PATH_BYTES + 256];
    struct hk_text text = hk_text_into(line, sizeof(line), STDERR_FILENO);
    hk_put(&text, "hakmem: counters: ");
    hk_put(&text, what);
    hk_put_char(&text, ' ');
    hk_put(&text, path);
    if (error != 0) {
        const char *reason = strerrordesc_np(error);
        hk_put(&text, ": ");
        hk_put(&text, reason != NULL ? reason : "unknown error");
    }
    hk_put_char(&text, '\n');
    hk_text_finish(&text);
}

/* Joins up to three parts and an optional number; false if the result is too long. */
static bool join_path(char *path, const char *head, const char *infix, uint64_t number,
                      const char *tail) {
    struct hk_text text = hk_text_into(path, HK_PATH_BYTES, -1);
    hk_put(&text, head);
    hk_put(&text, infix);
    if (number != 0) {
        hk_put_u64(&text, number);
    }
    hk_put(&text, tail);
    hk_put_char(&text, '\0');
    return text.error == 0;
}

/* dump.json and 12 make dump.12.json */
static bool numbered_path(char *path, const char *from, uint64_t number) {
    static const char ending[] = ".json";
    char stem[HK_PATH_BYTES];
    size_t length = strlen(from);
    size_t tail = sizeof(ending) - 1;
    bool json = length > tail && strcmp(from + length - tail, ending) == 0;
    size_t kept = json ? length - tail : length;
    memcpy(stem, from, kept);
    stem[kept] = '\0';
    return join_path(path, stem, ".", number, json ? ending : "");
}

static bool is_folder(const char *path) {
    struct stat status;
    return path[strlen(path) - 1] == '/' || (stat(path, &status) == 0 && S_ISDIR(status.st_mode));
}

static bool parse_descriptor(const char *text) {
    char *end;
    long fd = strtol(text, &end, 10);
    target.fd = (int)fd;
    return *text != '\0' && *end == '\0' && fd >= 0 && fd <= 1 << 20;
}

static void parse_target(const char *wish) {
    char folder[HK_PATH_BYTES] = "";
    if (wish == NULL || *wish == '\0') {
        return;
    }
    if (strncmp(wish, "fd:", 3) == 0) {
        if (parse_descriptor(wish + 3)) {
            target.kind = TO_DESCRIPTOR;
        } else {
            complain("not a descriptor, fd:N:", wish, 0);
        }
        return;
    }
    if (*wish != '/' && syscall(SYS_getcwd, folder, sizeof(folder)) < 0) {
        complain("cannot find the working directory for", wish, errno);
        return;
    }
    if (!join_path(target.place, folder, *wish == '/' ? "" : "/", 0, wish)) {
        complain("cannot use", wish, ENAMETOOLONG);
        return;
    }
    target.kind = is_folder(target.place) ? TO_FOLDER : TO_FILE;
}

/* The document of this process. A file that was asked for goes to the process that starts first:
 * `alone` is false for those that find it taken, and for forked children. */
static bool choose_path(bool alone) {
    uint64_t pid = hk_file->header.pid;
    switch (target.kind) {
    case TO_FOLDER:
        return join_path(target.path, target.place, "/hakmem.", pid, ".json");
    case TO_FILE:
        return alone ? join_path(target.path, target.place, "", 0, "")
                     : numbered_path(target.path, target.place, pid);
    default: {
        const char *folder = secure_getenv("TMPDIR");
        return join_path(target.path, folder != NULL ? folder : "/tmp", "/hakmem.", pid, ".json");
    }
    }
}

/* A live file is in the way. Returns false if it belongs to a process that runs. */
static bool clear_away(const char *live) {
    struct hk_file_header header = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, live, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno == ENOENT;
    }
    long got = syscall(SYS_read, fd, &header, sizeof(header));
    close(fd);
    if (got < (long)sizeof(header) || memcmp(header.magic, "HAKCOUNT", 8) != 0) {
        return false; /* not ours to remove */
    }
    char kept[HK_PATH_BYTES];
    if (header.pid == (uint32_t)getpid()) { /* what this process was before exec */
        return join_path(kept, live, ".exec-", header.started_ns, ".live") &&
               rename(live, kept) == 0;
    }
    return kill((pid_t)header.pid, 0) != 0 && errno == ESRCH && unlink(live) == 0;
}

static int publish(void) {
    char live[HK_PATH_BYTES];
    if (!join_path(live, target.path, "", 0, ".live")) {
        return ENAMETOOLONG;
    }
    int error = hk_file_publish(live);
    if (error == EEXIST && clear_away(live)) {
        error = hk_file_publish(live);
    }
    return error;
}

static void open_file(bool alone) {
    int error = ENAMETOOLONG;
    if (choose_path(alone)) {
        error = publish();
        if (error == EEXIST && choose_path(false)) {
            error = publish();
        }
    }
    if (error != 0) {
        complain("cannot create the live file of", target.path, error);
    }
}

static void describe_process(void) {
    uint32_t class_bytes[HK_CLASSES];
    char config[HK_CONFIG_TEXT_BYTES];
    for (size_t cls = 0; cls < HK_CLASSES; cls++) {
        class_bytes[cls] = (uint32_t)hk_class_size(cls);
    }
    hk_config_text(config);
    hk_file->header.info_bytes =
        hk_info_write(hk_file->info, sizeof(hk_file->info), class_bytes, HK_CLASSES, config);
}

bool hk_looking;

/* Walks the whole heap: what is found there must agree with what was counted. Takes the locks of
 * the allocator, so not in a signal handler. */
static void look(void) {
    struct hk_gauges *gauges = hk_counters_gauges();
    struct hak_stats stats = {0};
    memset(&gauges->looks, 0, sizeof(*gauges) - offsetof(struct hk_gauges, looks));
    hk_looking = true;
    hak_stats_read(&stats, sizeof(stats));
    hk_looking = false;
    gauges->derived_alloc = stats.allocs;
    gauges->derived_free = stats.frees;
    gauges->thread_live = stats.threads;
    gauges->live_bytes = stats.live_bytes;
    gauges->cached_bytes = stats.cached_bytes;
    gauges->dirty_bytes = stats.dirty_bytes;
    gauges->mapped_bytes = stats.mapped_bytes;
    gauges->peak_mapped_bytes = stats.peak_mapped_bytes;
    gauges->looks = 1;
}

static int dump_document(const char *path, enum hk_file_state state) {
    return target.kind == TO_DESCRIPTOR ? hk_dump_to_descriptor(target.fd, state)
                                        : hk_dump_to_file(path, state);
}

static int dump_on_demand(const char *path) {
    char numbered[HK_PATH_BYTES];
    if (path != NULL) {
        return hk_dump_to_file(path, HK_FILE_RUNNING);
    }
    if (target.kind == TO_NOTHING) {
        return EDESTADDRREQ;
    }
    uint32_t number = __atomic_add_fetch(&target.dumps, 1, __ATOMIC_RELAXED);
    return numbered_path(numbered, target.path, number) ? dump_document(numbered, HK_FILE_RUNNING)
                                                        : ENAMETOOLONG;
}

int hk_counters_dump(const char *path) {
    int saved_errno = errno;
    look();
    int error = dump_on_demand(path);
    hk_counters_gauges()->looks = 0;
    errno = saved_errno;
    return error;
}

static void on_signal(int signal) {
    (void)signal;
    int saved_errno = errno;
    (void)dump_on_demand(NULL);
    errno = saved_errno;
}

static void watch_signal(const char *wish) {
    if (wish == NULL || *wish == '\0') {
        return;
    }
    int number = strcmp(wish, "USR1") == 0 ? SIGUSR1 : strcmp(wish, "USR2") == 0 ? SIGUSR2 : 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    if (number == 0 || sigaction(number, &action, NULL) != 0) {
        complain("HAKMEM_COUNTERS_SIGNAL is USR1 or USR2, not", wish, 0);
    }
}

void hk_counters_start(void) {
    uint64_t signals;
    int saved_errno = errno;
    hk_counting_block();
    hk_counters_lock(&signals);
    describe_process();
    parse_target(secure_getenv("HAKMEM_COUNTERS"));
    if (target.kind != TO_NOTHING) {
        open_file(true);
    }
    hk_counters_unlock(&signals);
    watch_signal(secure_getenv("HAKMEM_COUNTERS_SIGNAL"));
    errno = saved_errno;
}

__attribute__((destructor)) static void finish(void) {
    if (hk_file == NULL || target.kind == TO_NOTHING ||
        hk_file->header.pid != (uint32_t)getpid()) { /* a clone without fork: not its file */
        return;
    }
    look();
    int error = dump_document(target.path, HK_FILE_FINISHED);
    if (error != 0) {
        complain("cannot write", target.path, error);
        return;
    }
    hk_file->header.state = HK_FILE_FINISHED;
    if (hk_file_path[0] != '\0') {
        unlink(hk_file_path);
        hk_file_path[0] = '\0';
    }
}

void hk_counters_fork_prepare(void) {
    hk_counters_lock(&target.fork_signals);
    hk_file_before_fork();
}

void hk_counters_fork_parent(void) {
    hk_counters_unlock(&target.fork_signals);
}

void hk_counters_fork_child(void) {
    int saved_errno = errno;
    target.dumps = 0;
    if (!hk_file_after_fork()) {
        complain("no memory: a forked child does not count, parent", target.path, ENOMEM);
    } else if (hk_file != NULL && target.kind != TO_NOTHING) {
        open_file(false);
    }
    hk_counters_unlock(&target.fork_signals);
    errno = saved_errno;
}
