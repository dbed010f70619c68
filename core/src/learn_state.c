#define _GNU_SOURCE
#include "learn_state.h"

#include "learn.h"
#include "learn_sites.h"
#include "os.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    VERSION = 1,
    STATE_BYTES = (HK_RULES + 2) * HK_STATE_LINE,
    DRAFT_PATH = PATH_MAX + 32,
};
#define MILLION      1000000
#define VALUE_MOST   ((int64_t)1000000 * MILLION) /* far beyond any reward, rating or signal */
#define FNV_START    0xCBF29CE484222325U
#define FNV_MULTIPLY 0x100000001B3U

static const char *const life_names[HK_LIVES] = {"learning", "freezing", "frozen"};

static uint64_t checksum(const char *text, size_t length) {
    uint64_t sum = FNV_START;
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ (unsigned char)text[i]) * FNV_MULTIPLY;
    }
    return sum;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Appends at most what is left of a line. */
__attribute__((format(printf, 3, 4))) static char *put(char *at, const char *end,
                                                       const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(at, (size_t)(end - at), format, values);
    va_end(values);
    return length < end - at ? at + length : at;
}

static int64_t millionths(double value) {
    return (int64_t)(value * MILLION);
}

char *hk_state_write_head(char *at, enum hk_bandit_kind kind) {
    const char *end = at + HK_STATE_LINE;
    at = put(at, end, "hakmem-learn %d %s", VERSION, hk_bandit_names[kind]);
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        at = put(at, end, " %s", hk_strategy_names[arm]);
    }
    return put(at, end, "\n");
}

char *hk_state_write_site(char *at, const struct hk_site_state *state) {
    const char *end = at + HK_STATE_LINE;
    const struct hk_learner *learner = &state->learner;
    at = put(at, end, "site %u %u %u %" PRIu32 " %" PRIu32, learner->life, learner->arm,
             learner->leader, learner->steady, learner->relearned);
    for (unsigned i = 0; i < HK_SIGNALS; i++) {
        at = put(at, end, " %" PRId64, millionths(learner->typical[i]));
    }
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        at = put(at, end, " %" PRIu32, learner->bandit.pulls[arm]);
    }
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        at = put(at, end, " %" PRId64, millionths(learner->bandit.value[arm]));
    }
    return put(at, end, " %" PRIuPTR " %s\n", state->place.offset, state->place.module);
}

char *hk_state_write_end(char *at, const char *text, unsigned sites) {
    uint64_t sum = checksum(text, (size_t)(at - text));
    return put(at, at + HK_STATE_LINE, "end %u %016" PRIx64 "\n", sites, sum);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Where the reader is; `bad` stays set once anything was not as it must be. */
struct reader {
    const char *at;
    bool bad;
};

static void expect(struct reader *reader, const char *text) {
    size_t length = strlen(text);
    if (reader->bad || strncmp(reader->at, text, length) != 0) {
        reader->bad = true;
        return;
    }
    reader->at += length;
}

/* A decimal number without leading zeroes, after a space. */
static uint64_t read_digits(struct reader *reader, uint64_t most) {
    const char *first = reader->at;
    uint64_t value = 0;
    while (*reader->at >= '0' && *reader->at <= '9') {
        uint64_t digit = (uint64_t)(*reader->at++ - '0');
        reader->bad |= value > most / 10 || digit > most - value * 10;
        value = value * 10 + digit;
    }
    reader->bad |= reader->at == first || (*first == '0' && reader->at - first > 1);
    return value;
}

static uint64_t read_number(struct reader *reader, uint64_t most) {
    expect(reader, " ");
    return reader->bad ? 0 : read_digits(reader, most);
}

static double read_millionths(struct reader *reader) {
    expect(reader, " ");
    const bool negative = !reader->bad && *reader->at == '-';
    reader->at += negative;
    double value = reader->bad ? 0.0 : (double)read_digits(reader, VALUE_MOST) / MILLION;
    return negative ? -value : value;
}

static void read_module(struct reader *reader, char *module) {
    expect(reader, " ");
    size_t length = reader->bad ? 0 : strcspn(reader->at, " \n");
    const char *kinds[] = {"b:", "p:", "-\n"};
    bool known = false;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        known |= length > 0 && strncmp(reader->at, kinds[i], 2) == 0;
    }
    if (!known || length >= HK_MODULE_NAME) {
        reader->bad = true;
        return;
    }
    memcpy(module, reader->at, length);
    module[length] = '\0';
    reader->at += length;
}

static void read_site(struct reader *reader, struct hk_site_state *state) {
    struct hk_learner *learner = &state->learner;
    *state = (struct hk_site_state){.learner.life = 0};
    expect(reader, "site");
    learner->life = (uint8_t)read_number(reader, HK_LIVES - 1);
    learner->arm = (uint8_t)read_number(reader, HK_ARMS - 1);
    learner->leader = (uint8_t)read_number(reader, HK_ARMS - 1);
    learner->steady = (uint32_t)read_number(reader, UINT32_MAX);
    learner->relearned = (uint32_t)read_number(reader, UINT32_MAX);
    for (unsigned i = 0; i < HK_SIGNALS; i++) {
        learner->typical[i] = read_millionths(reader);
    }
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        learner->bandit.pulls[arm] = (uint32_t)read_number(reader, UINT32_MAX / HK_ARMS);
    }
    for (unsigned arm = 0; arm < HK_ARMS; arm++) {
        learner->bandit.value[arm] = read_millionths(reader);
    }
    state->place.offset = read_number(reader, UINTPTR_MAX);
    read_module(reader, state->place.module);
    expect(reader, "\n");
}

/* The last line, whose checksum covers all before it. */
static const char *find_end(const char *text, size_t length) {
    if (length < 2 || text[length - 1] != '\n' || strlen(text) != length) {
        return NULL;
    }
    const char *end = text + length - 1;
    while (end > text && end[-1] != '\n') {
        end--;
    }
    char expected[HK_STATE_LINE];
    unsigned lines = 0;
    for (const char *each = text; each < end; each++) {
        lines += *each == '\n';
    }
    char *last = put(expected, expected + sizeof expected, "end %u %016" PRIx64 "\n",
                     lines > 0 ? lines - 1 : 0, checksum(text, (size_t)(end - text)));
    return strlen(end) == (size_t)(last - expected) && strcmp(end, expected) == 0 ? end : NULL;
}

const char *hk_state_parse(const char *text, size_t length, enum hk_bandit_kind kind,
                           hk_state_taker *take, void *context) {
    char head[HK_STATE_LINE];
    struct reader reader = {.at = text};
    (void)hk_state_write_head(head, kind);
    expect(&reader, head);
    if (reader.bad) {
        return ": of another version or algorithm";
    }
    const char *end = find_end(text, length);
    if (!end) {
        return ": cut off or changed";
    }
    while (reader.at < end && !reader.bad) {
        struct hk_site_state state;
        read_site(&reader, &state);
        if (!reader.bad && take) {
            take(&state, context);
        }
    }
    return reader.bad || reader.at != end ? ": not in the format of this version" : NULL;
}

/* --- from one run to the next ------------------------------------------------------------------
 */

static void take_site(const struct hk_site_state *state, void *context) {
    (void)context;
    const void *site = hk_place_address(&state->place);
    unsigned number = 0;
    struct hk_rule *rule = site ? hk_rule_of(site, &number) : NULL;
    if (rule) {
        rule->learner = state->learner;
        hk_rule_unlock(number);
    }
}

/* The bytes read, less than `size`; -1 on an error or if there are more. */
static ssize_t read_file(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < size) {
        got = read(file, text + length, size - length);
        length += got > 0 ? (size_t)got : 0;
    }
    (void)close(file);
    return got == 0 ? (ssize_t)length : -1;
}

static const char *load(const char *path, char *text) {
    ssize_t length = read_file(path, text, STATE_BYTES - 1);
    if (length < 0) {
        return ": cannot be read, or too large";
    }
    const char *wrong = hk_state_parse(text, (size_t)length, hk_learn_config.kind, NULL, NULL);
    if (!wrong) {
        (void)hk_state_parse(text, (size_t)length, hk_learn_config.kind, take_site, NULL);
    }
    return wrong;
}

void hk_learn_start(void) {
    if (!*hk_learn_config.load || hk_learn_config.kind == HK_BANDIT_OFF) {
        return;
    }
    char *text = hk_os_map(STATE_BYTES, hk_os_page());
    const char *wrong = text ? load(hk_learn_config.load, text) : ": no memory to read it";
    if (wrong) {
        hk_say("what was learned, ignored: ", hk_learn_config.load, wrong);
    }
    if (text) {
        (void)hk_os_unmap(text, STATE_BYTES);
    }
}

/* A copy, for the loader must not be asked under the lock. False: no such rule. */
static bool copy_rule(unsigned number, struct hk_rule *copy) {
    if (!hk_rule_exists(number)) {
        return false;
    }
    *copy = *hk_rule_lock(number);
    hk_rule_unlock(number);
    return true;
}

static char *write_all(char *text, unsigned *sites) {
    char *at = hk_state_write_head(text, hk_learn_config.kind);
    *sites = 0;
    for (unsigned number = 1; number <= HK_RULES; number++) {
        struct hk_rule rule;
        if (copy_rule(number, &rule)) {
            struct hk_site_state state = {.learner = rule.learner};
            hk_place_of(rule.site, &state.place);
            at = hk_state_write_site(at, &state);
            (*sites)++;
        }
    }
    return hk_state_write_end(at, text, *sites);
}

static bool write_file(int file, const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, text, length);
        if (written <= 0) {
            return false;
        }
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* Whole or not at all: through a draft beside it. */
static bool replace_file(const char *path, const char *text, size_t length) {
    char draft[DRAFT_PATH];
    (void)put(draft, draft + sizeof draft, "%s.%d.draft", path, (int)getpid());
    int file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        return false;
    }
    bool good = write_file(file, text, length);
    good = close(file) == 0 && good && rename(draft, path) == 0;
    if (!good) {
        (void)unlink(draft);
    }
    return good;
}

/* A process that met no site leaves the file to others, such as the shell that started it. */
__attribute__((destructor)) static void save(void) {
    if (!*hk_learn_config.save || hk_learn_config.kind == HK_BANDIT_OFF) {
        return;
    }
    char *text = hk_os_map(STATE_BYTES, hk_os_page());
    unsigned sites = 0;
    const char *end = text ? write_all(text, &sites) : NULL;
    if (!end || (sites > 0 && !replace_file(hk_learn_config.save, text, (size_t)(end - text)))) {
        hk_say("what was learned, not written: ", hk_learn_config.save, "");
    }
    if (text) {
        (void)hk_os_unmap(text, STATE_BYTES);
    }
}

/* --- for people --------------------------------------------------------------------------------
 */

static void print_rule(int fd, const struct hk_rule *rule) {
    char line[HK_STATE_LINE];
    struct hk_place place;
    hk_place_of(rule->site, &place);
    char *end = put(line, line + sizeof line,
                    "site %s+0x%" PRIxPTR ": %s, %s; %" PRIu64 " requests, %" PRIu64
                    " reused; KiB: %" PRIu64 " mapped anew, %" PRIu64
                    " returned, %zu waiting; learned anew %" PRIu32 " times\n",
                    place.module, place.offset, life_names[rule->learner.life],
                    hk_strategy_names[rule->learner.arm], rule->allocs, rule->reused,
                    rule->fresh_bytes / HK_KIB, rule->returned_bytes / HK_KIB,
                    rule->held_bytes / HK_KIB, rule->learner.relearned);
    (void)write_file(fd, line, (size_t)(end - line));
}

void hk_learn_print(int fd) {
    char line[HK_STATE_LINE];
    struct hk_site_counts counts = hk_site_counts();
    char *end = put(line, line + sizeof line,
                    "hakmem learns by %s; sites evicted: %" PRIu64 ", without a rule: %" PRIu64
                    " requests\n",
                    hk_bandit_names[hk_learn_config.kind], counts.evicted, counts.refused);
    (void)write_file(fd, line, (size_t)(end - line));
    for (unsigned number = 1; number <= HK_RULES; number++) {
        struct hk_rule rule;
        if (copy_rule(number, &rule)) {
            print_rule(fd, &rule);
        }
    }
}
