/* Guard pages around large blocks. */
#include "os.h"
#include "secure.h"

#define GUARD HK_UNIT

/* Bytes from the start of a block to the start of the guard's last part. */
static size_t inner(size_t bytes) {
    return hk_round_up(bytes, GUARD);
}

static bool guard_end(char *start, size_t bytes) {
    return hk_os_guard(start + bytes, inner(bytes) - bytes + GUARD);
}

void *hk_secure_map(size_t bytes, size_t alignment) {
    const size_t lead = alignment > GUARD ? alignment : GUARD;
    char *base = hk_os_map(lead + inner(bytes) + GUARD, lead);
    if (!base) {
        return NULL;
    }
    char *start = base + lead;
    if (!hk_os_guard(base, lead) || !guard_end(start, bytes)) {
        (void)hk_os_unmap(base, lead + inner(bytes) + GUARD);
        return NULL;
    }
    (void)hk_os_unmap(base, lead - GUARD);
    return start;
}

bool hk_secure_unmap(char *start, size_t bytes) {
    return hk_os_unmap(start - GUARD, GUARD + inner(bytes) + GUARD);
}

bool hk_secure_shorten(char *start, size_t bytes, size_t kept) {
    if (!guard_end(start, kept)) {
        return false;
    }
    (void)hk_os_unmap(start + inner(kept) + GUARD, inner(bytes) - inner(kept));
    return true;
}

void hk_secure_abandon(char *start, size_t bytes, size_t slack) {
    (void)hk_os_unmap(start - GUARD, GUARD);
    (void)hk_os_unmap(start + bytes, inner(bytes + slack) - bytes + GUARD);
}
