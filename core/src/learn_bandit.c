#include "learn_bandit.h"

#include <string.h>

enum {
    EXPONENT_SHIFT = 52, /* of the IEEE double */
    EXPONENT_BIAS = 1023,
    ELO_START = 1500,
    ELO_STEP = 32,   /* rating that one match can move */
    ELO_SCALE = 400, /* so much more rating: ten times the chances */
};
#define LN_2           0.6931471805599453
#define LOG2_10        3.321928094887362
#define REWARD_MARGIN  0.01 /* rewards that differ by less are a draw */
#define ELO_MARGIN     8.0
#define EXPONENT_LIMIT 60.0

/* --- what libm would do: hakmem needs no other library ---------------------------------------- */

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A parabola through 0, 1 and nearly the middle, between powers of two. */
double hk_binary_logarithm(double value) {
    uint64_t bits = bits_of(value);
    double exponent = (double)(bits >> EXPONENT_SHIFT) - EXPONENT_BIAS;
    const uint64_t fraction = ((uint64_t)1 << EXPONENT_SHIFT) - 1;
    double mantissa =
        double_of((bits & fraction) | (uint64_t)EXPONENT_BIAS << EXPONENT_SHIFT); /* 1 .. 2 */
    return exponent + (2.0 - mantissa / 3.0) * mantissa - 5.0 / 3.0;
}

static double power_of_two(double exponent) {
    double limited = exponent < -EXPONENT_LIMIT  ? -EXPONENT_LIMIT
                     : exponent > EXPONENT_LIMIT ? EXPONENT_LIMIT
                                                 : exponent;
    int whole = (int)(limited + EXPONENT_LIMIT) - (int)EXPONENT_LIMIT; /* rounds down */
    double rest = limited - whole;
    return double_of((uint64_t)(whole + EXPONENT_BIAS) << EXPONENT_SHIFT) *
           (1.0 + rest * (0.6565 + 0.3435 * rest));
}

/* Newton's steps, from above: for what UCB1 asks, 0 to about 50. */
static double square_root(double value) {
    double root = value > 1.0 ? value : 1.0;
    for (int step = 0; step < 16; step++) {
        root = (root + value / root) / 2.0;
    }
    return root;
}

/* --- UCB1 ------------------------------------------------------------------------------------- */

static unsigned fewest_pulls(const struct hk_bandit *bandit) {
    unsigned fewest = 0;
    for (unsigned arm = 1; arm < HK_ARMS; arm++) {
        fewest = bandit->pulls[arm] < bandit->pulls[fewest] ? arm : fewest;
    }
    return fewest;
}

static unsigned highest_bound(const struct hk_bandit *bandit) {
    uint64_t all = 0;
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        all += bandit->pulls[arm];
    }
    const double twice_ln = 2.0 * LN_2 * hk_binary_logarithm((double)all);
    unsigned best = 0;
    double best_bound = 0.0;
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        double bound = bandit->value[arm] + square_root(twice_ln / bandit->pulls[arm]);
        if (bound > best_bound) {
            best = arm;
            best_bound = bound;
        }
    }
    return best;
}

/* --- ELO -------------------------------------------------------------------------------------- */

static double distance(double a, double b) {
    return a > b ? a - b : b - a;
}

static unsigned highest_rated_but(const struct hk_bandit *bandit, unsigned first) {
    unsigned highest = first == 0;
    for (unsigned arm = highest + 1; arm < HK_ARMS; arm++) {
        if (arm != first && bandit->value[arm] > bandit->value[highest]) {
            highest = arm;
        }
    }
    return highest;
}

static unsigned nearest_rated_to(const struct hk_bandit *bandit, unsigned first) {
    unsigned nearest = first == 0;
    for (unsigned arm = nearest + 1; arm < HK_ARMS; arm++) {
        if (arm != first && distance(bandit->value[arm], bandit->value[first]) <
                                distance(bandit->value[nearest], bandit->value[first])) {
            nearest = arm;
        }
    }
    return nearest;
}

/* By turns the best, who must defend its place, and the nearest, which puts the others in order. */
static unsigned opponent_of(const struct hk_bandit *bandit, unsigned first) {
    return bandit->pulls[first] % 2 ? highest_rated_but(bandit, first)
                                    : nearest_rated_to(bandit, first);
}

static void play(struct hk_bandit *bandit, unsigned second, double reward) {
    unsigned first = bandit->first;
    double ahead = bandit->value[second] - bandit->value[first];
    double expected = 1.0 / (1.0 + power_of_two(ahead * LOG2_10 / ELO_SCALE)); /* of the first */
    double score = distance(bandit->first_reward, reward) < REWARD_MARGIN ? 0.5
                   : bandit->first_reward > reward                        ? 1.0
                                                                          : 0.0;
    bandit->value[first] += ELO_STEP * (score - expected);
    bandit->value[second] -= ELO_STEP * (score - expected);
}

/* --- both ------------------------------------------------------------------------------------- */

void hk_bandit_reset(struct hk_bandit *bandit, enum hk_bandit_kind kind) {
    *bandit = (struct hk_bandit){.waiting = false};
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        bandit->value[arm] = kind == HK_BANDIT_ELO ? ELO_START : 0.0;
    }
}

unsigned hk_bandit_choose(const struct hk_bandit *bandit, enum hk_bandit_kind kind) {
    if (kind == HK_BANDIT_ELO && bandit->waiting) {
        return opponent_of(bandit, bandit->first);
    }
    unsigned fewest = fewest_pulls(bandit);
    return kind == HK_BANDIT_ELO || bandit->pulls[fewest] == 0 ? fewest : highest_bound(bandit);
}

void hk_bandit_reward(struct hk_bandit *bandit, enum hk_bandit_kind kind, unsigned arm,
                      double reward) {
    bandit->pulls[arm]++;
    if (kind == HK_BANDIT_UCB1) {
        bandit->value[arm] += (reward - bandit->value[arm]) / bandit->pulls[arm];
    } else if (bandit->waiting && arm != bandit->first) {
        play(bandit, arm, reward);
        bandit->waiting = false;
    } else {
        bandit->first = (uint8_t)arm;
        bandit->first_reward = reward;
        bandit->waiting = true;
    }
}

unsigned hk_bandit_best(const struct hk_bandit *bandit, enum hk_bandit_kind kind, unsigned leader) {
    unsigned best = 0;
    for (unsigned arm = 1; arm < HK_ARMS; arm++) {
        best = bandit->value[arm] > bandit->value[best] ? arm : best;
    }
    double margin = kind == HK_BANDIT_ELO ? ELO_MARGIN : REWARD_MARGIN;
    return bandit->value[best] > bandit->value[leader] + margin ? best : leader;
}

uint32_t hk_bandit_least_pulls(const struct hk_bandit *bandit) {
    return bandit->pulls[fewest_pulls(bandit)];
}
