/* Bandits: which of a few strategies earns most, learned by trying them.
 *
 *     UCB1  the highest mean reward, plus what the mean may be too low by: sqrt(2 ln n / pulls)
 *     ELO   two strategies play one after the other; the higher reward wins; ratings as in chess
 *
 * Pure functions over records, of rewards from 0 to 1. */
#ifndef HK_LEARN_BANDIT_H
#define HK_LEARN_BANDIT_H

#include "learn_config.h"

enum { HK_ARMS = 5 };

struct hk_bandit {
    double value[HK_ARMS]; /* UCB1: mean reward; ELO: rating */
    uint32_t pulls[HK_ARMS];
    double first_reward; /* ELO: of the match that waits for its second player */
    uint8_t first;
    bool waiting;
};

void hk_bandit_reset(struct hk_bandit *bandit, enum hk_bandit_kind kind);
/* The strategy to try next. */
unsigned hk_bandit_choose(const struct hk_bandit *bandit, enum hk_bandit_kind kind);
void hk_bandit_reward(struct hk_bandit *bandit, enum hk_bandit_kind kind, unsigned arm,
                      double reward);
/* The best so far; `leader` unless another is better by more than rewards vary by themselves. */
unsigned hk_bandit_best(const struct hk_bandit *bandit, enum hk_bandit_kind kind, unsigned leader);
uint32_t hk_bandit_least_pulls(const struct hk_bandit *bandit);

/* Of a positive number; off by 0.01 at most. */
double hk_binary_logarithm(double value);

#endif
