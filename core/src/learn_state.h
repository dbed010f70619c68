/* What was learned, as text: kept from one run to the next. One line for each site:
 *
 *     hakmem-learn 1 ucb1 keep-4 keep-32 batch-4 batch-32 return
 *     site LIFE ARM LEADER STEADY RELEARNED TYPICAL*3 PULLS*5 VALUE*5 OFFSET MODULE
 *     end SITES CHECKSUM
 *
 * Values are millionths. A file that differs in its first line, is cut off, or breaks any rule of
 * the format is not read at all. */
#ifndef HK_LEARN_STATE_H
#define HK_LEARN_STATE_H

#include "learn_life.h"
#include "learn_modules.h"

enum { HK_STATE_LINE = 1024 }; /* longer than any line */

struct hk_site_state {
    struct hk_place place;
    struct hk_learner learner;
};

/* Calls `take`, unless it is NULL, for each site of a text that ends with a NUL at `length`.
 * Returns what is wrong with it (after a colon), NULL if nothing is: else some sites may have been
 * taken. */
typedef void hk_state_taker(const struct hk_site_state *state, void *context);
const char *hk_state_parse(const char *text, size_t length, enum hk_bandit_kind kind,
                           hk_state_taker *take, void *context);

/* Each writes at most HK_STATE_LINE bytes at `at` and returns the end of the text there. */
char *hk_state_write_head(char *at, enum hk_bandit_kind kind);
char *hk_state_write_site(char *at, const struct hk_site_state *state);
char *hk_state_write_end(char *at, const char *text, unsigned sites);

#endif
