#include "registry.h"

#include "meta.h"

enum { FIRST_BITS = 12, MOST_BITS = 31 /* all units there are */ };

static struct {
    unsigned shift;
    uint64_t entries[(1 << FIRST_BITS) + HK_REGISTRY_PROBES - 1];
} first = {.shift = 64 - FIRST_BITS};

struct hk_registry *hk_registry = (struct hk_registry *)&first;

static struct hk_lock lock;

/* The entry of a unit, within the probes of `home`, or an empty one; NULL if there is neither. */
static uint64_t *find(uint64_t *home, uint64_t unit) {
    uint64_t *empty = NULL;
    for (unsigned i = HK_REGISTRY_PROBES; i-- > 0;) {
        if (home[i] == 0) {
            empty = &home[i];
        } else if (home[i] >> HK_REGISTRY_CODE_BITS == unit) {
            return &home[i];
        }
    }
    return empty;
}

static size_t length_of(unsigned bits) {
    return ((size_t)1 << bits) + HK_REGISTRY_PROBES - 1;
}

static bool copy(const struct hk_registry *from, struct hk_registry *to) {
    for (size_t i = 0; i < length_of(64 - from->shift); i++) {
        uint64_t unit = from->entries[i] >> HK_REGISTRY_CODE_BITS;
        if (unit) {
            uint64_t *entry = find(hk_registry_home(to, unit), unit);
            if (!entry) {
                return false;
            }
            *entry = from->entries[i];
        }
    }
    return true;
}

/* Under the lock: a table of twice the size, or of more if that has no place for everything. */
static bool grow(void) {
    for (unsigned bits = 64 - hk_registry->shift + 1; bits <= MOST_BITS; bits++) {
        struct hk_registry *larger =
            hk_meta_alloc(sizeof *larger + length_of(bits) * sizeof *larger->entries);
        if (!larger) {
            return false;
        }
        larger->shift = 64 - bits;
        if (copy(hk_registry, larger)) {
            __atomic_store_n(&hk_registry, larger, __ATOMIC_RELEASE);
            return true;
        }
    }
    return false;
}

/* Under the lock. False: there is no memory. */
static bool set(uint64_t unit, uint8_t code) {
    uint64_t *entry = find(hk_registry_home(hk_registry, unit), unit);
    while (!entry && code) {
        if (!grow()) {
            return false;
        }
        entry = find(hk_registry_home(hk_registry, unit), unit);
    }
    if (entry) {
        uint64_t value = code ? unit << HK_REGISTRY_CODE_BITS | code : 0;
        __atomic_store_n(entry, value, __ATOMIC_RELAXED);
    }
    return true;
}

bool hk_registry_set(const void *address, size_t units, uint8_t code) {
    uint64_t unit = (uintptr_t)address >> HK_UNIT_SHIFT;
    bool worked = true;
    hk_lock(&lock, HK_LOCK_META);
    for (size_t i = 0; worked && i < units; i++) {
        worked = set(unit + i, code);
    }
    hk_unlock(&lock);
    return worked;
}

/* A unit that had a code keeps its entry, so that it can have one again without memory. */
void hk_registry_change(const void *address, uint8_t code) {
    uint64_t unit = (uintptr_t)address >> HK_UNIT_SHIFT;
    hk_lock(&lock, HK_LOCK_META);
    uint64_t *entry = find(hk_registry_home(hk_registry, unit), unit);
    __atomic_store_n(entry, unit << HK_REGISTRY_CODE_BITS | code, __ATOMIC_RELAXED);
    hk_unlock(&lock);
}

void hk_registry_locks(hk_lock_visitor *visit) {
    visit(&lock, HK_LOCK_META);
}
