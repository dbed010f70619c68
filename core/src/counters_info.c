#define _GNU_SOURCE
#include "counters_info.h"

#include "counters_text.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COMMAND_BYTES = 4096 };

struct build_ids {
    char program[2 * 20 + 1];
    char library[2 * 20 + 1];
};

static void to_hex(char *hex, const unsigned char *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count && i < 20; i++) {
        *hex++ = digits[bytes[i] >> 4];
        *hex++ = digits[bytes[i] & 15];
    }
    *hex = '\0';
}

/* The GNU build id among the notes at `at`. */
static void find_build_id(char *hex, const char *at, size_t bytes) {
    const char *end = at + bytes;
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        size_t name = (note->n_namesz + 3U) & ~3U;
        size_t description = (note->n_descsz + 3U) & ~3U;
        at += sizeof(*note);
        if (name + description > (size_t)(end - at)) {
            return;
        }
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(at, "GNU", 4) == 0) {
            to_hex(hex, (const unsigned char *)at + name, note->n_descsz);
        }
        at += name + description;
    }
}

static bool covers(const struct dl_phdr_info *object, uintptr_t address) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD &&
            address - (object->dlpi_addr + segment->p_vaddr) < segment->p_memsz) {
            return true;
        }
    }
    return false;
}

/* The first object is the program; the one that holds this function is the library. */
static int look_at_object(struct dl_phdr_info *object, size_t size, void *found) {
    (void)size;
    struct build_ids *ids = found;
    bool ours = covers(object, (uintptr_t)&look_at_object);
    bool program = object->dlpi_name == NULL || object->dlpi_name[0] == '\0';
    for (int i = 0; (ours || program) && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_NOTE) {
            find_build_id(ours ? ids->library : ids->program,
                          (const char *)(object->dlpi_addr + segment->p_vaddr), segment->p_memsz);
        }
    }
    return 0;
}

static void put_pair(struct hk_text *text, const char *name, const char *value, size_t bytes) {
    hk_put_quoted(text, name, strlen(name));
    hk_put_char(text, ':');
    hk_put_quoted(text, value, bytes);
    hk_put_char(text, ',');
}

static void put_program(struct hk_text *text) {
    char path[1024];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
    put_pair(text, "exe", path, length > 0 ? (size_t)length : 0);
}

/* The arguments as a JSON array, at most COMMAND_BYTES of them. */
static void put_command(struct hk_text *text) {
    char command[COMMAND_BYTES];
    long length = 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        length = syscall(SYS_read, fd, command, sizeof(command));
        close(fd);
    }
    hk_put(text, "\"command\":[");
    for (const char *at = command, *end = command + (length > 0 ? length : 0); at < end;) {
        size_t bytes = strnlen(at, (size_t)(end - at));
        hk_put(text, at == command ? "" : ",");
        hk_put_quoted(text, at, bytes);
        at += bytes + 1;
    }
    hk_put(text, "],");
    hk_put(text, length == (long)sizeof(command) ? "\"command_cut\":true," : "");
}

static void put_config(struct hk_text *text, const char *config) {
    const char *separator = "";
    hk_put(text, "\"config\":{");
    while (*config != '\0') {
        size_t line = strcspn(config, "\n");
        size_t name = strcspn(config, "=\n");
        if (name < line) {
            hk_put(text, separator);
            hk_put_quoted(text, config, name);
            hk_put_char(text, ':');
            hk_put_quoted(text, config + name + 1, line - name - 1);
            separator = ",";
        }
        config += line + (config[line] == '\n');
    }
    hk_put_char(text, '}');
}

static void put_class_bytes(struct hk_text *text, const uint32_t *class_bytes, size_t classes) {
    hk_put(text, "\"class_bytes\":[");
    for (size_t i = 0; i < classes; i++) {
        hk_put(text, i == 0 ? "" : ",");
        hk_put_u64(text, class_bytes[i]);
    }
    hk_put(text, "],");
}

size_t hk_info_write(char *memory, size_t bytes, const uint32_t *class_bytes, size_t classes,
                     const char *config) {
    struct build_ids ids = {.program = ""};
    struct hk_text text = hk_text_into(memory, bytes - 1, -1);
    dl_iterate_phdr(look_at_object, &ids);
    hk_put_char(&text, '{');
    put_program(&text);
    put_command(&text);
    put_pair(&text, "program_build_id", ids.program, strlen(ids.program));
    put_pair(&text, "library_build_id", ids.library, strlen(ids.library));
    put_pair(&text, "compiler", __VERSION__, strlen(__VERSION__));
    put_class_bytes(&text, class_bytes, classes);
    put_config(&text, config);
    hk_put_char(&text, '}');
    if (text.error != 0) { /* a program with a very long configuration or path */
        text = hk_text_into(memory, bytes - 1, -1);
        hk_put_char(&text, '{');
        put_class_bytes(&text, class_bytes, classes);
        hk_put(&text, "\"info_cut\":true}");
    }
    *text.at = '\0';
    return (size_t)(text.at - memory);
}
