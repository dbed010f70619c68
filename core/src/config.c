#define _GNU_SOURCE
#include "config.h"

#include "learn_config.h"
#include "secure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hk_config hk_config = {
    .cache_kib = 12,
    .cache_max_kib = 64,
    .budget_mib = 16,
    .decay_ms = 1000,
    .dirty_mib = 16,
    .huge_mib = 32,
    .huge_learn = 1,
    .whale_capacity = 64,
    .whale_mib = 512,
    .magazine = 1,
    .mini_magazine = 1,
};

/* Every variable: its name, where its value goes, and what values it may have. */
static const struct option {
    const char *name;
    size_t *value;
    size_t low, high;
} options[] = {
    {"HAKMEM_CACHE_KIB", &hk_config.cache_kib, 1, 1024},
    {"HAKMEM_CACHE_MAX_KIB", &hk_config.cache_max_kib, 1, 1024},
    {"HAKMEM_CACHE_BUDGET_MIB", &hk_config.budget_mib, 0, 1 << 20},
    {"HAKMEM_DECAY_MS", &hk_config.decay_ms, 0, 3600000},
    {"HAKMEM_DIRTY_MIB", &hk_config.dirty_mib, 0, 1 << 20},
    {"HAKMEM_HUGE_MIB", &hk_config.huge_mib, 0, 1 << 30},
    {"HAKMEM_HUGE_LEARN", &hk_config.huge_learn, 0, 1},
    {"HKM_WHALE_CAPACITY", &hk_config.whale_capacity, 0, 256},
    {"HAKMEM_WHALE_MIB", &hk_config.whale_mib, 0, 1 << 20},
#if HK_MAGAZINE
    {"HAKMEM_MAGAZINE", &hk_config.magazine, 0, 1},
    {"HAKMEM_MINI_MAGAZINE", &hk_config.mini_magazine, 0, 1},
#endif
    {"HAKMEM_ZERO_ON_FREE", &hk_config.zero_on_free, 0, hk_secure_on},
    {"HAKMEM_PRINT_CONFIG", &hk_config.print, 0, 1},
};
enum { HK_OPTIONS = sizeof options / sizeof *options };

/* Read by other parts of the project under the same prefix. */
static const char *const elsewhere[] = {"HAKMEM_COUNTERS"};

static bool is_elsewhere(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        if (strncmp(elsewhere[i], name, strlen(elsewhere[i])) == 0 &&
            length >= strlen(elsewhere[i])) {
            return true;
        }
    }
    return false;
}

static const struct option *find(const char *name, size_t length) {
    for (size_t i = 0; i < HK_OPTIONS; i++) {
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* A decimal number of at most 12 digits; false for anything else. */
static bool parse(const char *text, size_t *value) {
    size_t digits = strlen(text);
    if (digits == 0 || digits > 12 || strspn(text, "0123456789") != digits) {
        return false;
    }
    *value = 0;
    for (; *text; text++) {
        *value = *value * 10 + (size_t)(*text - '0');
    }
    return true;
}

static void read_one(const char *assignment) {
    size_t length = strcspn(assignment, "=");
    const struct option *option = find(assignment, length);
    size_t value = 0;
    if (option && parse(assignment + length + 1, &value) && value >= option->low &&
        value <= option->high) {
        *option->value = value;
    } else if (option) {
        hk_say("bad value, ignored: ", assignment, "");
    } else if (hk_learn_on && hk_learn_read_variable(assignment)) {
        return;
    } else if (!is_elsewhere(assignment, length)) {
        hk_say("unknown variable, ignored: ", assignment, "");
    }
}

/* By hand: a call of strncmp is bound when it is made first, which costs more than all of this. */
static bool begins_with(const char *text, const char *start) {
    while (*start && *text == *start) {
        text++;
        start++;
    }
    return *start == '\0';
}

HK_AT_START void hk_config_read(void) {
    for (char *const *each = environ; each && *each; each++) {
        if (begins_with(*each, "HAKMEM_") || begins_with(*each, "HKM_")) {
            read_one(*each);
        }
    }
    if (hk_config.cache_max_kib < hk_config.cache_kib) {
        hk_config.cache_max_kib = hk_config.cache_kib;
    }
    if (hk_config.print) {
        hk_config_write(STDERR_FILENO);
    }
}

/* Writes one line at `at` and returns its end. */
static char *write_line(char *at, const struct option *option) {
    char digits[20];
    size_t count = 0;
    size_t rest = *option->value;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    at = stpcpy(at, option->name);
    *at++ = '=';
    while (count) {
        *at++ = digits[--count];
    }
    *at++ = '\n';
    return at;
}

_Static_assert((HK_OPTIONS + 1) * 64 < HK_CONFIG_TEXT_BYTES, "each line has at most 64 bytes");

void hk_config_text(char *text) {
    for (size_t i = 0; i < HK_OPTIONS; i++) {
        text = write_line(text, &options[i]);
    }
    if (hk_learn_on) {
        text = hk_learn_config_text(text);
    }
    *text = '\0';
}

void hk_config_write(int fd) {
    char text[HK_CONFIG_TEXT_BYTES];
    hk_config_text(text);
    ssize_t ignored = write(fd, text, strlen(text));
    (void)ignored;
}
