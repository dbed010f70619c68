#define _GNU_SOURCE
#include "learn_modules.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

enum {
    BUILD_ID_BYTES = 32, /* of a longer one the first; usual are 20 */
    NOTE_ALIGNMENT = 4,
};

/* What one walk over the modules looks for: the module at an address, or of a name. */
struct walk {
    const void *address;
    const char *name;
    struct hk_place found;
    bool any;
};

static bool covers(const struct dl_phdr_info *module, uintptr_t address) {
    for (unsigned i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[i];
        if (part->p_type == PT_LOAD &&
            address - (module->dlpi_addr + part->p_vaddr) < part->p_memsz) {
            return true;
        }
    }
    return false;
}

static char *write_hex(char *at, const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *at = '\0';
    return at;
}

/* Looks through one segment of notes. */
static bool build_id_in(const char *notes, size_t size, char *name) {
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        const size_t owner = at + sizeof note;
        const size_t content = owner + hk_round_up(note.n_namesz, NOTE_ALIGNMENT);
        const size_t next = content + hk_round_up(note.n_descsz, NOTE_ALIGNMENT);
        if (content < owner || next < content || next > size) {
            return false;
        }
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof "GNU" &&
            memcmp(notes + owner, "GNU", sizeof "GNU") == 0 && note.n_descsz > 0) {
            size_t bytes = note.n_descsz < BUILD_ID_BYTES ? note.n_descsz : BUILD_ID_BYTES;
            write_hex(stpcpy(name, "b:"), (const unsigned char *)notes + content, bytes);
            return true;
        }
        at = next;
    }
    return false;
}

static bool path_of(const struct dl_phdr_info *module, char *name) {
    const size_t room = HK_MODULE_NAME - sizeof "p:";
    char *path = stpcpy(name, "p:");
    ssize_t length = 0;
    if (module->dlpi_name && *module->dlpi_name) {
        length = (ssize_t)strnlen(module->dlpi_name, room);
        memcpy(path, module->dlpi_name, (size_t)length);
    } else {
        length = readlink("/proc/self/exe", path, room);
    }
    if (length <= 0 || (size_t)length >= room) {
        return false;
    }
    path[length] = '\0';
    for (const char *each = path; *each; each++) {
        if (*each <= ' ' || *each > '~') {
            return false;
        }
    }
    return true;
}

static bool name_of(const struct dl_phdr_info *module, char *name) {
    for (unsigned i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[i];
        /* The notes' own address is a number from the loader. */
        const char *notes = (const char *)(module->dlpi_addr + part->p_vaddr);
        if (part->p_type == PT_NOTE && build_id_in(notes, part->p_memsz, name)) {
            return true;
        }
    }
    return path_of(module, name);
}

static int visit(struct dl_phdr_info *module, size_t size, void *context) {
    (void)size;
    struct walk *walk = context;
    if (walk->address && !covers(module, (uintptr_t)walk->address)) {
        return 0;
    }
    if (!name_of(module, walk->found.module) ||
        (walk->name && strcmp(walk->name, walk->found.module) != 0)) {
        return 0;
    }
    walk->found.offset = module->dlpi_addr;
    walk->any = true;
    return 1;
}

void hk_place_of(const void *address, struct hk_place *place) {
    struct walk walk = {.address = address};
    (void)dl_iterate_phdr(visit, &walk);
    if (!walk.any) {
        strcpy(walk.found.module, "-");
        walk.found.offset = 0;
    }
    *place = walk.found;
    place->offset = (uintptr_t)address - walk.found.offset;
}

const void *hk_place_address(const struct hk_place *place) {
    struct walk walk = {.name = place->module};
    if (strcmp(place->module, "-") == 0) {
        return (const void *)place->offset;
    }
    (void)dl_iterate_phdr(visit, &walk);
    return walk.any ? (const void *)(walk.found.offset + place->offset) : NULL;
}
