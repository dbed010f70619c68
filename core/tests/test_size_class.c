/* Every size has the smallest class that holds it, and loses little. */
#include "check.h"

#include "size_class.h"

int main(void) {
    for (size_t cls = 1; cls < HK_CLASSES; cls++) {
        size_t size = hk_class_size(cls);
        CHECK(size % HK_ALIGNMENT == 0);
        CHECK(size > hk_class_size(cls - 1));
        CHECK(hk_class_of(size) == cls);
        CHECK(cls + 1 == HK_CLASSES || hk_class_of(size + 1) == cls + 1);
    }
    for (size_t size = 1; size <= HK_SMALL_MAX; size++) {
        size_t cls = hk_class_of(size);
        CHECK(cls >= 1 && cls < HK_CLASSES);
        CHECK(hk_class_size(cls) >= size && hk_class_size(cls - 1) < size);
        size_t lost = hk_class_size(cls) - size;
        CHECK(lost < HK_ALIGNMENT || lost * 8 <= size);
    }
    for (size_t alignment = HK_ALIGNMENT; alignment <= HK_SMALL_MAX; alignment *= 2) {
        for (size_t size = alignment; size <= HK_SMALL_MAX; size += alignment) {
            CHECK(hk_class_size(hk_class_of(size)) % alignment == 0);
        }
    }
    CHECK(hk_class_fine(0) == 0);
    CHECK(hk_class_size(HK_CLASSES - 1) == HK_SMALL_MAX);
    return 0;
}
