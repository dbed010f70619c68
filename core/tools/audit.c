/* libhakaudit.so: preloaded after an allocator, says who serves the allocation calls of the
 * process.
 *
 * It replaces no allocation function. It writes one line when the program starts and one when it
 * exits, to the descriptor that HAKAUDIT_FD names; contract 2 of docs/architecture.md. Nothing here
 * allocates but the allocations that are the audit. */
#define _GNU_SOURCE /* RTLD_DEFAULT, dladdr1, dl_iterate_phdr */
#include "hakmem.h"
#include "line.h"
#include "report.h"

#include <dlfcn.h>
#include <elf.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <string.h>

enum {
    ALLOCATIONS = 2000,
    LARGE_EVERY = 200,  /* one allocation in so many is of 128 B..64 KiB, the rest is smaller */
    ROOM_FOR_TAIL = 64, /* of a line, kept for what stands around a path */
    BUILD_ID_LIMIT = 32,
};

static const char *const entry_points[] = {
    "malloc",        "free",           "calloc", "realloc", "memalign",
    "aligned_alloc", "posix_memalign", "valloc", "pvalloc", "malloc_usable_size",
};
enum { ENTRY_POINTS = sizeof entry_points / sizeof entry_points[0] };

/* Of glibc's <malloc.h>, where an older one may lack the second. */
struct mallinfo_of_int {
    int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo_of_size {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct libc_use {
    size_t in_use, obtained; /* bytes: in blocks, and from the system */
};

/* Bound to hakmem's if that is preloaded. Not by dlsym: a look-up that fails allocates a message.
 */
#pragma weak hak_stats_read

/* C++'s, which an allocator may define beside malloc; NULL in a program without C++. */
#if __SIZEOF_SIZE_T__ == 8
#define OPERATOR_NEW "_Znwm"
#else
#define OPERATOR_NEW "_Znwj"
#endif
extern void *operator_new(size_t size) __asm__(OPERATOR_NEW) __attribute__((weak));

static struct report report = {.fd = -1};
static char exe[PATH_MAX];
static void *blocks[ALLOCATIONS];

/* glibc's own, whoever has replaced them; NULL if this C library has none. */
static struct mallinfo_of_size (*mallinfo_sizes)(void);
static struct mallinfo_of_int (*mallinfo_ints)(void);

static void libc_find(void) {
    void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
    if (!libc) {
        return;
    }
    *(void **)&mallinfo_sizes = dlsym(libc, "mallinfo2");
    if (!mallinfo_sizes) {
        *(void **)&mallinfo_ints = dlsym(libc, "mallinfo");
        dlerror(); /* the program must not find our failure */
    }
    dlclose(libc);
}

/* What glibc's own malloc says; 0 if it cannot be asked. */
static int libc_read(struct libc_use *use) {
    if (mallinfo_sizes) {
        const struct mallinfo_of_size info = mallinfo_sizes();
        *use = (struct libc_use){info.uordblks + info.hblkhd, info.arena + info.hblkhd};
    } else if (mallinfo_ints) { /* wraps at 4 GiB; what it held before the program is far below */
        const struct mallinfo_of_int info = mallinfo_ints();
        *use = (struct libc_use){(unsigned)info.uordblks + (size_t)(unsigned)info.hblkhd,
                                 (unsigned)info.arena + (size_t)(unsigned)info.hblkhd};
    }
    return mallinfo_sizes || mallinfo_ints;
}

/* What the allocator itself has counted; 0 if it does not offer that. */
static int counted_read(struct hak_stats *stats) {
    return hak_stats_read && hak_stats_read(stats, sizeof *stats) >= sizeof stats->allocs * 2;
}

/* Who defines `address`: the object, and the name and table entry of the symbol. */
struct definition {
    const struct link_map *object;
    const char *symbol;
    const ElfW(Sym) * entry;
};

static struct definition definition_of(const void *address) {
    struct definition found = {NULL, NULL, NULL};
    Dl_info info;
    struct link_map *object = NULL;
    const ElfW(Sym) *entry = NULL;
    if (address && dladdr1(address, &info, (void **)&object, RTLD_DL_LINKMAP) &&
        dladdr1(address, &info, (void **)&entry, RTLD_DL_SYMENT)) {
        found = (struct definition){object, info.dli_sname, entry};
    }
    return found;
}

/* Where a program of fixed address takes the address of an imported function, its own jump to the
 * function stands for it everywhere (the "canonical PLT entry"): look behind that. */
static struct definition defined_behind(const struct link_map *program, const char *function) {
    struct definition result = {NULL, NULL, NULL};
    for (struct link_map *next = program->l_next; next && !result.object; next = next->l_next) {
        void *handle = dlopen(next->l_name, RTLD_LAZY | RTLD_NOLOAD);
        if (handle) {
            const struct definition found = definition_of(dlsym(handle, function));
            result = found.object == next ? found : result;
            dlclose(handle);
        }
    }
    dlerror(); /* the program must not find our failures */
    return result;
}

static struct definition definition_for(const char *function, const void *address) {
    const struct definition found = definition_of(address);
    const int is_jump = found.entry && found.entry->st_shndx == SHN_UNDEF;
    return is_jump ? defined_behind(found.object, function) : found;
}

/* The canonical path of an object that the loader calls `name`, "" for the program itself. */
static int canonical_path(const char *name, char path[PATH_MAX]) {
    if (!name[0]) {
        memcpy(path, exe, sizeof exe);
        return 1;
    }
    return realpath(name, path) != NULL;
}

/* `"function":["file","symbol"]`, or null if nobody defines it. */
static void add_definition(struct line *line, const char *function, const void *address) {
    char path[PATH_MAX];
    const struct definition found = definition_for(function, address);
    line_add(line, "\"%s\":", function);
    if (!found.object || !canonical_path(found.object->l_name, path)) {
        line_add_string(line, NULL);
        return;
    }
    line_add(line, "[");
    line_add_string(line, path);
    line_add(line, ",");
    line_add_string(line, found.symbol);
    line_add(line, "]");
}

static void add_entries(struct line *line) {
    line_add(line, ",\"entry\":{");
    for (int i = 0; i < ENTRY_POINTS; i++) {
        line_add(line, i ? "," : "");
        add_definition(line, entry_points[i], dlsym(RTLD_DEFAULT, entry_points[i]));
    }
    line_add(line, "},\"operator_new\":{");
    add_definition(line, OPERATOR_NEW, (const void *)operator_new);
    line_add(line, "}");
}

/* The build id among the notes of one object, as hexadecimal text; "" if there is none. */
static void build_id_of(const struct dl_phdr_info *object, char text[2 * BUILD_ID_LIMIT + 1]) {
    text[0] = '\0';
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE) {
            continue;
        }
        const size_t align = segment->p_align == 8 ? 8 : 4;
        const unsigned char *at = (const unsigned char *)(object->dlpi_addr + segment->p_vaddr);
        const unsigned char *end = at + segment->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)at;
            const unsigned char *name = at + sizeof *note;
            const unsigned char *id = name + (note->n_namesz + align - 1) / align * align;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof "GNU" &&
                memcmp(name, "GNU", sizeof "GNU") == 0 && note->n_descsz <= BUILD_ID_LIMIT) {
                for (size_t byte = 0; byte < note->n_descsz; byte++) {
                    snprintf(text + 2 * byte, 3, "%02x", id[byte]);
                }
                return;
            }
            at = id + (note->n_descsz + align - 1) / align * align;
        }
    }
}

static void begin(struct line *line, const char *when) {
    line->length = 0;
    line_add(line, "{\"hakaudit\":1,\"at\":\"%s\",\"pid\":%d,\"ppid\":%d,\"exe\":", when,
             (int)getpid(), (int)getppid());
    line_add_string(line, exe);
}

/* Adds one loaded object to the list at the end of the line; a full line is written and continued.
 */
static int add_object(struct dl_phdr_info *object, size_t size, void *data) {
    (void)size;
    struct line *line = data;
    char path[PATH_MAX], id[2 * BUILD_ID_LIMIT + 1];
    if (!canonical_path(object->dlpi_name, path)) { /* the vdso is no file */
        return 0;
    }
    build_id_of(object, id);
    if (line->length + strlen(path) + sizeof id + ROOM_FOR_TAIL > sizeof line->bytes) {
        line_add(line, "]}\n");
        report_line(&report, line);
        begin(line, "maps");
        line_add(line, ",\"maps\":[");
    }
    line_add(line, "%s[", line->bytes[line->length - 1] == '[' ? "" : ",");
    line_add_string(line, path);
    line_add(line, ",\"%s\"]", id);
    return 0;
}

static size_t size_of_allocation(int i) {
    return i % LARGE_EVERY ? 16 + (size_t)(i % 4) * 16 : (size_t)128 << (i / LARGE_EVERY);
}

/* Allocates, lets `*during` be read while all is held, and gives all back. The functions are called
 * by address: the compiler can neither remove the pairs nor know whose they are. */
static void allocate_and_free(struct libc_use *during) {
    void *(*allocate)(size_t) = NULL;
    void (*release)(void *) = NULL;
    *(void **)&allocate = dlsym(RTLD_DEFAULT, "malloc");
    *(void **)&release = dlsym(RTLD_DEFAULT, "free");
    for (int i = 0; i < ALLOCATIONS; i++) {
        blocks[i] = allocate(size_of_allocation(i));
        if (blocks[i]) {
            memset(blocks[i], 1, 1);
        }
    }
    libc_read(during);
    for (int i = ALLOCATIONS; i-- > 0;) {
        release(blocks[i]);
    }
}

static void add_audit(struct line *line) {
    struct libc_use before = {0, 0}, during = {0, 0};
    struct hak_stats counted_before, counted;
    const int counts = counted_read(&counted_before);
    const int known = libc_read(&before);
    allocate_and_free(&during);
    if (known) {
        line_add(line, ",\"libc_mallinfo\":{\"before\":%zu,\"after\":%zu}", before.in_use,
                 during.in_use);
    } else {
        line_add(line, ",\"libc_mallinfo\":null");
    }
    if (counts && counted_read(&counted)) {
        line_add(line, ",\"calls\":{\"allocs\":%llu,\"frees\":%llu}",
                 (unsigned long long)(counted.allocs - counted_before.allocs),
                 (unsigned long long)(counted.frees - counted_before.frees));
    } else {
        line_add(line, ",\"calls\":null");
    }
}

/* How often a C library is mapped: a second one came with dlmopen and has a malloc of its own. */
static int count_libc(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char *text = NULL;
    size_t capacity = 0;
    int count = 0;
    while (maps && getline(&text, &capacity, maps) > 0) {
        count += strstr(text, "/" LIBC_SO "\n") && strstr(text, " 00000000 "); /* its first page */
    }
    free(text);
    if (maps) {
        fclose(maps);
    }
    return count;
}

__attribute__((constructor)) static void audit_start(void) {
    struct line line;
    report_exe(exe);
    report = report_open("HAKAUDIT_FD");
    if (!report_is_open(&report)) {
        return;
    }
    libc_find();
    begin(&line, "start");
    add_entries(&line);
    add_audit(&line);
    line_add(&line, ",\"maps\":[");
    dl_iterate_phdr(add_object, &line);
    line_add(&line, "]}\n");
    report_line(&report, &line);
}

__attribute__((destructor)) static void audit_exit(void) {
    struct line line;
    struct libc_use use;
    if (!report_is_open(&report)) {
        return;
    }
    begin(&line, "exit");
    if (libc_read(&use)) {
        line_add(&line, ",\"libc_obtained\":%zu", use.obtained);
    } else {
        line_add(&line, ",\"libc_obtained\":null");
    }
    line_add(&line, ",\"libc_copies\":%d}\n", count_libc());
    report_line(&report, &line);
}
