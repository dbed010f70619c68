#define _GNU_SOURCE
#include "learn_config.h"

#include <string.h>

struct hk_learn_config hk_learn_config = {.kind = HK_BANDIT_UCB1};

const char *const hk_bandit_names[HK_BANDIT_KINDS] = {"off", "ucb1", "elo"};

static bool set_kind(const char *value) {
    for (unsigned kind = 0; kind < HK_BANDIT_KINDS; kind++) {
        if (strcmp(value, hk_bandit_names[kind]) == 0) {
            hk_learn_config.kind = kind;
            return true;
        }
    }
    return false;
}

static bool set_path(char *path, const char *value) {
    size_t length = strlen(value);
    if (length == 0 || length >= PATH_MAX) {
        return false;
    }
    memcpy(path, value, length + 1);
    return true;
}

bool hk_learn_read_variable(const char *assignment) {
    size_t length = strcspn(assignment, "=");
    const char *value = assignment + length + (assignment[length] == '=');
    bool good = false;
    if (length == strlen("HAKMEM_LEARN") && memcmp(assignment, "HAKMEM_LEARN", length) == 0) {
        good = set_kind(value);
    } else if (strncmp(assignment, "HAKMEM_LEARN_SAVE=", strlen("HAKMEM_LEARN_SAVE=")) == 0) {
        good = set_path(hk_learn_config.save, value);
    } else if (strncmp(assignment, "HAKMEM_LEARN_LOAD=", strlen("HAKMEM_LEARN_LOAD=")) == 0) {
        good = set_path(hk_learn_config.load, value);
    } else {
        return false;
    }
    if (!good) {
        hk_say("bad value, ignored: ", assignment, "");
    }
    return true;
}

char *hk_learn_config_text(char *at) {
    at = stpcpy(at, "HAKMEM_LEARN=");
    at = stpcpy(at, hk_bandit_names[hk_learn_config.kind]);
    return stpcpy(at, "\n");
}
