/* What was learned, as text: a round trip, files cut off at every byte, and mutations, of which
 * none is taken unless its checksum was made good, and then only with values in range. */
#include "check.h"

#include "learn_state.h"

#include <math.h>

enum { SITES = 20, MUTATIONS = 60000, TEXT = (SITES + 2) * HK_STATE_LINE };

static struct hk_site_state states[SITES];
static unsigned taken;

static void make(unsigned i, uint64_t *state) {
    struct hk_learner *learner = &states[i].learner;
    hk_learner_start(learner, HK_BANDIT_UCB1);
    learner->life = (uint8_t)(next_random(state) % HK_LIVES);
    learner->arm = (uint8_t)(next_random(state) % HK_ARMS);
    learner->leader = (uint8_t)(next_random(state) % HK_ARMS);
    learner->steady = (uint32_t)next_random(state);
    learner->relearned = (uint32_t)next_random(state);
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        learner->bandit.pulls[arm] = (uint32_t)(next_random(state) % 1000);
        learner->bandit.value[arm] = (double)(next_random(state) % 2000000) / 1e6 - 0.5;
    }
    for (unsigned signal = 0; signal < HK_SIGNALS; signal++) {
        learner->typical[signal] = (double)(next_random(state) % 1000000) / 1e6;
    }
    static const char *const modules[] = {"b:0123456789abcdef0123", "p:/usr/lib/libx.so.1", "-"};
    strcpy(states[i].place.module, modules[i % 3]);
    states[i].place.offset = next_random(state) >> (i % 64);
}

static size_t write_text(char *text) {
    char *at = hk_state_write_head(text, HK_BANDIT_UCB1);
    for (unsigned i = 0; i < SITES; i++) {
        at = hk_state_write_site(at, &states[i]);
    }
    return (size_t)(hk_state_write_end(at, text, SITES) - text);
}

static void compare(const struct hk_site_state *got, void *context) {
    (void)context;
    const struct hk_site_state *expected = &states[taken++];
    const struct hk_learner *learner = &expected->learner;
    CHECK(strcmp(got->place.module, expected->place.module) == 0);
    CHECK(got->place.offset == expected->place.offset);
    CHECK(got->learner.life == learner->life && got->learner.arm == learner->arm);
    CHECK(got->learner.leader == learner->leader && got->learner.steady == learner->steady);
    CHECK(got->learner.relearned == learner->relearned);
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        CHECK(got->learner.bandit.pulls[arm] == learner->bandit.pulls[arm]);
        CHECK(fabs(got->learner.bandit.value[arm] - learner->bandit.value[arm]) < 2e-6);
    }
    for (unsigned signal = 0; signal < HK_SIGNALS; signal++) {
        CHECK(fabs(got->learner.typical[signal] - learner->typical[signal]) < 2e-6);
    }
}

static void check_range(const struct hk_site_state *got, void *context) {
    (void)context;
    taken++;
    CHECK(got->learner.life < HK_LIVES);
    CHECK(got->learner.arm < HK_ARMS && got->learner.leader < HK_ARMS);
    CHECK(strlen(got->place.module) < HK_MODULE_NAME);
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        CHECK(isfinite(got->learner.bandit.value[arm]));
    }
}

/* Each cut is a copy of its own, so that a sanitizer sees a byte read beyond. */
static void test_truncated(const char *text, size_t length) {
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = malloc(cut + 1);
        CHECK(copy);
        memcpy(copy, text, cut);
        copy[cut] = '\0';
        taken = 0;
        CHECK(hk_state_parse(copy, cut, HK_BANDIT_UCB1, check_range, NULL) && taken == 0);
        free(copy);
    }
}

static size_t mutate(char *text, size_t length, uint64_t *state) {
    static const char likely[] = "0123456789 -\n:sitendbp";
    for (unsigned changes = 1 + next_random(state) % 4; changes; changes--) {
        size_t at = next_random(state) % length;
        size_t count = next_random(state) % 8;
        switch (next_random(state) % 4) {
        case 0:
            text[at] = (char)next_random(state);
            break;
        case 1:
            text[at] = likely[next_random(state) % (sizeof likely - 1)];
            break;
        case 2:
            count = count < length - at ? count : 0;
            memmove(text + at, text + at + count, length - at - count);
            length -= count;
            break;
        default:
            memmove(text + at + count, text + at, length - at);
            length += count;
            memset(text + at, likely[next_random(state) % (sizeof likely - 1)], count);
        }
        length += length == 0;
    }
    text[length] = '\0';
    return length;
}

/* Replaces the last line by one that fits what stands before it. */
static size_t make_good(char *text, size_t length) {
    unsigned lines = 0;
    char *end = text;
    for (char *each = text; each < text + length; each++) {
        if (*each == '\n' && each + 1 < text + length) {
            end = each + 1;
            lines++;
        }
    }
    return (size_t)(hk_state_write_end(end, text, lines ? lines - 1 : 0) - text);
}

static unsigned test_mutations(const char *text, size_t length, bool good, uint64_t *state) {
    unsigned accepted = 0;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        char *copy = malloc(TEXT + 64);
        CHECK(copy);
        memcpy(copy, text, length + 1);
        size_t changed = mutate(copy, length, state);
        bool same = changed == length && memcmp(copy, text, length) == 0;
        changed = good ? make_good(copy, changed) : changed;
        taken = 0;
        const char *wrong = hk_state_parse(copy, changed, HK_BANDIT_UCB1, check_range, NULL);
        CHECK(good || same || (wrong && taken == 0));
        accepted += !wrong;
        free(copy);
    }
    return accepted;
}

int main(void) {
    uint64_t state = 11;
    static char text[TEXT];
    for (unsigned i = 0; i < SITES; i++) {
        make(i, &state);
    }
    size_t length = write_text(text);
    CHECK(hk_state_parse(text, length, HK_BANDIT_UCB1, compare, NULL) == NULL && taken == SITES);
    CHECK(hk_state_parse(text, length, HK_BANDIT_ELO, compare, NULL) && taken == SITES);
    test_truncated(text, length);
    (void)test_mutations(text, length, false, &state);
    unsigned accepted = test_mutations(text, length, true, &state);
    CHECK(accepted > 0 && accepted < MUTATIONS / 2); /* digits may change, most else may not */
    return 0;
}
