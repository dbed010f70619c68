/* Which SuperSlab has a run of free, or dirty, units of a length: they stand on shelves, in rows by
 * their longest run. */
#include "superslab_record.h"

struct shelf {
    uint64_t rows; /* a bit a row that is not empty */
    struct hk_superslab *row[HK_UNITS];
};

HK_SPARSE static struct shelf shelves[HK_GRAINS][HK_SHELVES];

/* --- runs of bits ----------------------------------------------------------------------------- */

unsigned hk_first_run(uint64_t bits, unsigned length) {
    for (unsigned have = 1; have < length;) {
        unsigned step = length - have < have ? length - have : have;
        bits &= bits >> step;
        have += step;
    }
    return (unsigned)__builtin_ctzl(bits);
}

/* Starts of runs of 1, 2, 4, ... 32; then the longest sum of such lengths that some start allows.
 */
static unsigned longest_run(uint64_t bits) {
    enum { POWERS = 6 };
    uint64_t starts[POWERS] = {bits};
    for (unsigned i = 1; i < POWERS; i++) {
        starts[i] = starts[i - 1] & (starts[i - 1] >> (1U << (i - 1)));
    }
    unsigned length = 0;
    uint64_t at = ~(uint64_t)0;
    for (unsigned i = POWERS; i-- > 0;) {
        uint64_t longer = at & (starts[i] >> length);
        if (longer) {
            at = longer;
            length += 1U << i;
        }
    }
    return length;
}

/* --- rows ------------------------------------------------------------------------------------- */

static void take_off(struct hk_superslab *superslab, enum hk_shelf_kind kind) {
    struct shelf *shelf = &shelves[superslab->grain][kind];
    struct hk_shelf_link *own = &superslab->link[kind];
    unsigned row = superslab->row[kind];
    if (own->next) {
        own->next->link[kind].previous = own->previous;
    }
    if (own->previous) {
        own->previous->link[kind].next = own->next;
    } else {
        shelf->row[row] = own->next;
        if (!own->next) {
            shelf->rows &= ~((uint64_t)1 << row);
        }
    }
}

static void put_on(struct hk_superslab *superslab, enum hk_shelf_kind kind, unsigned row) {
    struct shelf *shelf = &shelves[superslab->grain][kind];
    superslab->row[kind] = (uint8_t)row;
    superslab->link[kind] = (struct hk_shelf_link){.next = shelf->row[row]};
    if (shelf->row[row]) {
        shelf->row[row]->link[kind].previous = superslab;
    }
    shelf->row[row] = superslab;
    shelf->rows |= (uint64_t)1 << row;
}

void hk_shelve(struct hk_superslab *superslab) {
    const uint64_t bits[HK_SHELVES] = {superslab->free, superslab->dirty};
    for (unsigned kind = 0; kind < HK_SHELVES; kind++) {
        unsigned row = longest_run(bits[kind]);
        if (row != superslab->row[kind]) {
            if (superslab->row[kind]) {
                take_off(superslab, kind);
            }
            superslab->row[kind] = 0;
            if (row) {
                put_on(superslab, kind, row);
            }
        }
    }
}

struct hk_superslab *hk_shelf_find(enum hk_grain grain, enum hk_shelf_kind kind, unsigned units) {
    const struct shelf *shelf = &shelves[grain][kind];
    uint64_t rows = shelf->rows >> units;
    return rows ? shelf->row[units + (unsigned)__builtin_ctzl(rows)] : NULL;
}

struct hk_superslab *hk_shelf_dirtiest(void) {
    const struct shelf *fine = &shelves[HK_GRAIN_FINE][HK_SHELF_DIRTY];
    const struct shelf *coarse = &shelves[HK_GRAIN_COARSE][HK_SHELF_DIRTY];
    const struct shelf *shelf = fine->rows > coarse->rows ? fine : coarse;
    return shelf->rows ? shelf->row[63U - (unsigned)__builtin_clzl(shelf->rows)] : NULL;
}
