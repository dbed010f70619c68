/* The bandits on arms whose rewards are known: UCB1 loses no more than its theorem allows, ELO puts
 * the arms in order; and both survive arms that do not differ. */
#include "check.h"

#include "learn_bandit.h"

#include <math.h>

enum { PULLS = 4000, SEEDS = 20 };

static const double chances[HK_ARMS] = {0.5, 0.3, 0.8, 0.6, 0.1};
enum { BEST = 2 };

static double chance(uint64_t *state) {
    return (double)(next_random(state) >> 11) / (double)((uint64_t)1 << 53);
}

static void test_logarithm(void) {
    double x = 1e-9;
    for (unsigned i = 0; i < 150; i++) {
        CHECK(fabs(hk_binary_logarithm(x) - log2(x)) < 0.011);
        x *= 1.37;
    }
}

/* What playing other arms than the best has cost, in rewards, against the bound of Auer,
 * Cesa-Bianchi and Fischer (2002), theorem 1. */
static void test_ucb1(uint64_t seed) {
    uint64_t state = seed;
    double regret = 0.0;
    double bound = 0.0;
    struct hk_bandit bandit;
    hk_bandit_reset(&bandit, HK_BANDIT_UCB1);
    for (unsigned pull = 0; pull < PULLS; pull++) {
        unsigned arm = hk_bandit_choose(&bandit, HK_BANDIT_UCB1);
        CHECK(arm < HK_ARMS);
        hk_bandit_reward(&bandit, HK_BANDIT_UCB1, arm, chance(&state) < chances[arm]);
        regret += chances[BEST] - chances[arm];
    }
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        double gap = chances[BEST] - chances[arm];
        bound += arm == BEST ? 0.0 : 8.0 * log(PULLS) / gap + (1.0 + M_PI * M_PI / 3.0) * gap;
        CHECK(bandit.pulls[arm] > 0);
    }
    CHECK(regret < bound);
    CHECK(bandit.pulls[BEST] > PULLS / 2);
    CHECK(hk_bandit_best(&bandit, HK_BANDIT_UCB1, 0) == BEST);
    CHECK(fabs(bandit.value[BEST] - chances[BEST]) < 0.05);
}

/* Ratings, averaged over the second half, stand in the order of the arms. */
static void test_elo(uint64_t seed) {
    uint64_t state = seed;
    double rating[HK_ARMS] = {0.0};
    struct hk_bandit bandit;
    hk_bandit_reset(&bandit, HK_BANDIT_ELO);
    for (unsigned pull = 0; pull < PULLS; pull++) {
        unsigned arm = hk_bandit_choose(&bandit, HK_BANDIT_ELO);
        double reward = chances[arm] + (chance(&state) - 0.5) * 0.6;
        hk_bandit_reward(&bandit, HK_BANDIT_ELO, arm, reward);
        for (unsigned i = 0; pull >= PULLS / 2 && i < HK_ARMS; i++) {
            rating[i] += bandit.value[i] / (PULLS / 2.0);
        }
    }
    double sum = 0.0;
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        CHECK(hk_bandit_least_pulls(&bandit) >= PULLS / HK_ARMS / 2);
        sum += bandit.value[arm];
        for (unsigned other = 0; other < HK_ARMS; other++) {
            CHECK(chances[arm] <= chances[other] || rating[arm] > rating[other]);
        }
    }
    CHECK(fabs(sum - 1500.0 * HK_ARMS) < 1e-6); /* what one wins the other loses */
    CHECK(hk_bandit_best(&bandit, HK_BANDIT_ELO, BEST) == BEST);
}

/* The leader stays, whoever it is. */
static void test_equals(enum hk_bandit_kind kind) {
    struct hk_bandit bandit;
    hk_bandit_reset(&bandit, kind);
    for (unsigned pull = 0; pull < 200; pull++) {
        unsigned arm = hk_bandit_choose(&bandit, kind);
        hk_bandit_reward(&bandit, kind, arm, 0.7);
        CHECK(pull < HK_ARMS || hk_bandit_best(&bandit, kind, 3) == 3);
    }
    CHECK(hk_bandit_least_pulls(&bandit) > 10);
}

int main(void) {
    test_logarithm();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        test_ucb1(seed);
        test_elo(seed);
    }
    test_equals(HK_BANDIT_UCB1);
    test_equals(HK_BANDIT_ELO);
    return 0;
}
