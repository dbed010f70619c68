/* The variant `learn` (HK_LEARN=1, docs/variants.md): its switch, its variables, and call sites.
 *
 *     HAKMEM_LEARN=ucb1|elo|off   who chooses the strategies; off: the fixed policy of the release
 *     HAKMEM_LEARN_LOAD=PATH      what an earlier run learned, read at start
 *     HAKMEM_LEARN_SAVE=PATH      written when the process ends
 *
 * In a library that does not learn all of it is nothing. */
#ifndef HK_LEARN_CONFIG_H
#define HK_LEARN_CONFIG_H

#include "base.h"

#include <limits.h>

#ifndef HK_LEARN
#define HK_LEARN 0
#endif

enum { hk_learn_on = HK_LEARN };

enum hk_bandit_kind { HK_BANDIT_OFF, HK_BANDIT_UCB1, HK_BANDIT_ELO, HK_BANDIT_KINDS };

/* Paths are copies: programs may overwrite their environment. Empty: none. */
struct hk_learn_config {
    enum hk_bandit_kind kind;
    char save[PATH_MAX], load[PATH_MAX];
};
extern struct hk_learn_config hk_learn_config __attribute__((visibility("hidden")));
extern const char *const hk_bandit_names[HK_BANDIT_KINDS] __attribute__((visibility("hidden")));

/* Takes a variable, NAME=VALUE; says if the value is bad. False: it is none of these. */
bool hk_learn_read_variable(const char *assignment);
/* Writes HAKMEM_LEARN=NAME and the end of a line at `at`; returns where that ends. */
char *hk_learn_config_text(char *at);

/* Where a request comes from: a return address, or what hak_alloc_at was told; NULL: nobody said.
 * It has no bytes where nobody learns, and so is passed for nothing. */
#if HK_LEARN
struct hk_site {
    const void *address;
};
#define hk_site_of(address) ((struct hk_site){address})
#else
struct hk_site {};
#define hk_site_of(address) ((struct hk_site){})
#endif

#endif
