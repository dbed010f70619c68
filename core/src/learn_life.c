#include "learn_life.h"

enum {
    LEAST_PULLS = 3,    /* of each strategy before any can be frozen */
    STEADY_EPOCHS = 16, /* so long the same one leads */
    TYPICAL_EPOCHS = 4, /* make the typical values */
    OCTAVES = 8,        /* of size: so many doublings weigh as much as the whole reward */
};
#define NORMAL_DEVIATION 0.1  /* of an epoch: nearly an octave, a tenth of the reward */
#define GREAT_DEVIATION  0.35 /* more than this counts as this: an outlier is no shift */
#define SHIFT            1.0  /* so four epochs at least; of blocks four times the size, seven */

void hk_learner_start(struct hk_learner *learner, enum hk_bandit_kind kind) {
    *learner = (struct hk_learner){.life = HK_LIFE_LEARN};
    hk_bandit_reset(&learner->bandit, kind);
    learner->arm = (uint8_t)hk_bandit_choose(&learner->bandit, kind);
}

static void learn(struct hk_learner *learner, enum hk_bandit_kind kind, double reward) {
    hk_bandit_reward(&learner->bandit, kind, learner->arm, reward);
    unsigned best = hk_bandit_best(&learner->bandit, kind, learner->leader);
    learner->steady = best == learner->leader ? learner->steady + 1 : 0;
    learner->leader = (uint8_t)best;
    if (learner->steady >= STEADY_EPOCHS &&
        hk_bandit_least_pulls(&learner->bandit) >= LEAST_PULLS) {
        learner->life = HK_LIFE_FREEZE;
        learner->steady = 0;
        learner->arm = learner->leader;
    } else {
        learner->arm = (uint8_t)hk_bandit_choose(&learner->bandit, kind);
    }
}

/* The mean of the first epochs. */
static void settle(struct hk_learner *learner, const double *signals) {
    learner->steady++;
    for (unsigned i = 0; i < HK_SIGNALS; i++) {
        learner->typical[i] += (signals[i] - learner->typical[i]) / learner->steady;
    }
    if (learner->steady == TYPICAL_EPOCHS) {
        learner->life = HK_LIFE_WATCH;
    }
}

static double grown(double sum, double deviation) {
    sum += (deviation < GREAT_DEVIATION ? deviation : GREAT_DEVIATION) - NORMAL_DEVIATION;
    return sum > 0.0 ? sum : 0.0;
}

static bool shifted(struct hk_learner *learner, const double *signals) {
    bool any = false;
    for (unsigned i = 0; i < HK_SIGNALS; i++) {
        double deviation = signals[i] - learner->typical[i];
        learner->above[i] = grown(learner->above[i], deviation);
        learner->below[i] = grown(learner->below[i], -deviation);
        any |= learner->above[i] > SHIFT || learner->below[i] > SHIFT;
    }
    return any;
}

void hk_learner_epoch(struct hk_learner *learner, enum hk_bandit_kind kind,
                      const struct hk_observation *seen) {
    const double signals[HK_SIGNALS] = {
        [HK_SIGNAL_REWARD] = seen->reward,
        [HK_SIGNAL_SIZE] = hk_binary_logarithm(seen->bytes) / OCTAVES,
        [HK_SIGNAL_PACE] = seen->pace,
    };
    if (learner->life == HK_LIFE_LEARN) {
        learn(learner, kind, seen->reward);
    } else if (learner->life == HK_LIFE_FREEZE) {
        settle(learner, signals);
    } else if (shifted(learner, signals)) {
        uint32_t relearned = learner->relearned + 1;
        hk_learner_start(learner, kind);
        learner->relearned = relearned;
    }
}
