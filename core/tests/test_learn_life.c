/* The life of what is learned, on simulated workloads: frozen on the best strategy; not disturbed
 * by noise and outliers; learned anew, for the other strategy, after a shift of the rewards, of the
 * sizes, or of the time between requests. */
#include "check.h"

#include "learn_life.h"

enum { LONG = 400, SOON = 24, FIRST_BEST = 1, SECOND_BEST = 3 };

struct world {
    double reward[HK_ARMS];
    double bytes, pace;
};
static const struct world calm = {{0.7, 0.9, 0.6, 0.8, 0.4}, 65536.0, 0.01};

static uint64_t state = 7;

/* From -1 to 1. */
static double noise(void) {
    return (double)(int64_t)next_random(&state) / 9223372036854775808.0;
}

static void run(struct hk_learner *learner, enum hk_bandit_kind kind, const struct world *world,
                unsigned epochs) {
    for (unsigned i = 0; i < epochs; i++) {
        double reward = world->reward[learner->arm] + 0.02 * noise();
        struct hk_observation seen = {
            .reward = reward < 0.0   ? 0.0
                      : reward > 1.0 ? 1.0
                                     : reward,
            .bytes = world->bytes * (1.0 + 0.2 * noise()),
            .pace = world->pace,
        };
        hk_learner_epoch(learner, kind, &seen);
        CHECK(learner->arm < HK_ARMS && learner->leader < HK_ARMS && learner->life < HK_LIVES);
    }
}

static struct hk_learner frozen(enum hk_bandit_kind kind) {
    struct hk_learner learner;
    hk_learner_start(&learner, kind);
    CHECK(learner.life == HK_LIFE_LEARN);
    run(&learner, kind, &calm, LONG);
    CHECK(learner.life == HK_LIFE_WATCH);
    CHECK(learner.arm == FIRST_BEST && learner.relearned == 0);
    return learner;
}

static void test_outliers(enum hk_bandit_kind kind) {
    struct hk_learner learner = frozen(kind);
    struct world odd = calm;
    odd.reward[FIRST_BEST] = 0.0;
    odd.bytes *= 1000.0;
    odd.pace = 1.0;
    for (unsigned i = 0; i < 50; i++) {
        run(&learner, kind, &odd, 1);
        run(&learner, kind, &calm, SOON);
    }
    CHECK(learner.relearned == 0 && learner.arm == FIRST_BEST);
}

/* `shift` is noticed soon, and what is best then is learned. */
static void test_shift(enum hk_bandit_kind kind, const struct world *shift) {
    struct hk_learner learner = frozen(kind);
    run(&learner, kind, shift, SOON);
    CHECK(learner.relearned == 1);
    run(&learner, kind, shift, LONG);
    CHECK(learner.life == HK_LIFE_WATCH && learner.relearned == 1);
    CHECK(learner.arm == SECOND_BEST);
}

int main(void) {
    for (enum hk_bandit_kind kind = HK_BANDIT_UCB1; kind <= HK_BANDIT_ELO; kind++) {
        struct world dearer = {{0.5, 0.3, 0.6, 0.9, 0.7}, calm.bytes, calm.pace};
        struct world larger = {{0.5, 0.9, 0.6, 1.0, 0.7}, calm.bytes * 5.0, calm.pace};
        struct world smaller = {{0.5, 0.9, 0.6, 1.0, 0.7}, calm.bytes / 5.0, calm.pace};
        struct world slower = {{0.5, 0.9, 0.6, 1.0, 0.7}, calm.bytes, 0.6};
        test_outliers(kind);
        test_shift(kind, &dearer);
        test_shift(kind, &larger);
        test_shift(kind, &smaller);
        test_shift(kind, &slower);
    }
    return 0;
}
