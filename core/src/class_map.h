/* What lies at an address: one byte, a size class or a code (size_class.h), for each unit of
 * 64 KiB of address space. A flat array, so that free needs one shift and one load.
 *
 * The array is reserved address space (2 GiB for 47 bits); a page of it is used for each 256 MiB of
 * heap. Where address space is limited (RLIMIT_AS), all memory of hakmem is confined to a window of
 * 64 GiB, and the array covers the window (1 MiB) and NULL only: the address of a block that hakmem
 * did not give may then crash free where it otherwise ends with a message. */
#ifndef HK_CLASS_MAP_H
#define HK_CLASS_MAP_H

#include "base.h"
#include "registry.h"

enum { HK_ADDRESS_BITS = 47 }; /* of user space on every 64-bit Linux, unless one asks for more */

/* Indexed by address >> HK_UNIT_SHIFT. Valid for NULL even before hk_class_map_init. */
extern uint8_t *hk_class_map __attribute__((visibility("hidden")));

HK_INLINE unsigned hk_code_of(const void *address) {
    return hk_registry_on ? hk_registry_code_of(address)
                          : hk_class_map[(uintptr_t)address >> HK_UNIT_SHIFT];
}

/* False: no address space, or no memory. Done by whoever needs the map first. */
bool hk_class_map_init(void);

/* Gives `units` units from `address` on the code. False: the array could not grow. */
bool hk_class_map_set(const void *address, size_t units, uint8_t code);

/* The same for one unit that had a code before. */
HK_INLINE void hk_class_map_change(const void *address, uint8_t code) {
    if (hk_registry_on) {
        hk_registry_change(address, code);
    } else {
        hk_class_map[(uintptr_t)address >> HK_UNIT_SHIFT] = code;
    }
}

#endif
