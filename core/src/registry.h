/* The variant `registry` (HK_REGISTRY=1, docs/variants.md): what lies at an address is looked up in
 * a hash table instead of the flat class map. A key is a unit of 64 KiB; it lies within eight
 * entries of its home, or nowhere: where all eight are taken, the table grows.
 *
 * Looking up takes no lock. An entry is one word, and those that look a unit up hold a block in it,
 * so that its entry was made before. Old tables stay, for whoever still reads them. */
#ifndef HK_REGISTRY_H
#define HK_REGISTRY_H

#include "base.h"
#include "lock.h"

#ifndef HK_REGISTRY
#define HK_REGISTRY 0
#endif

enum {
    hk_registry_on = HK_REGISTRY,
    HK_REGISTRY_PROBES = 8,
    HK_REGISTRY_CODE_BITS = 8,
};

struct hk_registry {
    unsigned shift;     /* 64 - its number of bits */
    uint64_t entries[]; /* unit << 8 | code, 0: nothing; seven more than homes */
};

extern struct hk_registry *hk_registry __attribute__((visibility("hidden")));

/* Neighbours get homes far apart: multiplication by the golden ratio. */
HK_INLINE uint64_t *hk_registry_home(struct hk_registry *table, uint64_t unit) {
    return &table->entries[unit * 0x9E3779B97F4A7C15U >> table->shift];
}

HK_INLINE unsigned hk_registry_code_of(const void *address) {
    uint64_t unit = (uintptr_t)address >> HK_UNIT_SHIFT;
    struct hk_registry *table = __atomic_load_n(&hk_registry, __ATOMIC_ACQUIRE);
    const uint64_t *home = hk_registry_home(table, unit);
    for (unsigned i = 0; i < HK_REGISTRY_PROBES; i++) {
        uint64_t entry = __atomic_load_n(&home[i], __ATOMIC_RELAXED);
        if (HK_LIKELY(entry >> HK_REGISTRY_CODE_BITS == unit)) {
            return (uint8_t)entry;
        }
    }
    return 0; /* HK_CODE_NONE */
}

/* The class map's functions (class_map.h). */
bool hk_registry_set(const void *address, size_t units, uint8_t code);
void hk_registry_change(const void *address, uint8_t code);

/* For whoever must stop the layer as a whole. */
void hk_registry_locks(hk_lock_visitor *visit);

#endif
