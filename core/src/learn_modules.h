/* Names for addresses that hold in another run, where libraries lie elsewhere: the module by its
 * build id (or path), and the offset in it. Asks the dynamic loader, which takes its own lock and
 * may allocate: never under a lock of hakmem, and so only at start, at the end, and on demand. */
#ifndef HK_LEARN_MODULES_H
#define HK_LEARN_MODULES_H

#include "base.h"

enum { HK_MODULE_NAME = 256 };

struct hk_place {
    char module[HK_MODULE_NAME]; /* `b:` build id, `p:` path without spaces, `-`: no module */
    uintptr_t offset;
};

/* An address outside all modules keeps its value; so does one in a module without a usable name. */
void hk_place_of(const void *address, struct hk_place *place);
/* NULL: the module is not loaded. */
const void *hk_place_address(const struct hk_place *place);

#endif
