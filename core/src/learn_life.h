/* The life of what is learned about a call site: learn which strategy is best, freeze it when it
 * has been the best for a while, watch, and learn again when the workload shifts.
 *
 *     LEARN --best for long enough--> FREEZE --typical values known--> WATCH --shift--> LEARN
 *
 * An epoch is a number of allocations under one strategy. What is watched: the reward, the size of
 * the blocks, and the time between them as far as it matters, against their values when it froze,
 * each by the sum of its deviations beyond what is normal (CUSUM), so that neither an outlier nor
 * noise is a shift. */
#ifndef HK_LEARN_LIFE_H
#define HK_LEARN_LIFE_H

#include "learn_bandit.h"

enum hk_life { HK_LIFE_LEARN, HK_LIFE_FREEZE, HK_LIFE_WATCH, HK_LIVES };
enum hk_signal { HK_SIGNAL_REWARD, HK_SIGNAL_SIZE, HK_SIGNAL_PACE, HK_SIGNALS };

/* What an epoch was like. */
struct hk_observation {
    double reward; /* 0 to 1 */
    double bytes;  /* an allocation */
    double pace;   /* 0: blocks wait no time worth mentioning; to 1: longer than any may wait */
};

struct hk_learner {
    struct hk_bandit bandit;
    double typical[HK_SIGNALS];                  /* when it froze */
    double above[HK_SIGNALS], below[HK_SIGNALS]; /* summed deviations since */
    uint32_t steady; /* epochs for which the leader has led; frozen ones */
    uint32_t relearned;
    uint8_t life; /* enum hk_life */
    uint8_t arm;  /* the strategy in force */
    uint8_t leader;
};

void hk_learner_start(struct hk_learner *learner, enum hk_bandit_kind kind);
/* Takes an epoch into account and sets the strategy of the next. */
void hk_learner_epoch(struct hk_learner *learner, enum hk_bandit_kind kind,
                      const struct hk_observation *seen);

#endif
