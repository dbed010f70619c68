/* The command line of a benchmark: common options, its own, and bare arguments. */
#include "../tools/line.h"
#include "bench_harness.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

__attribute__((noreturn)) static void use(void) {
    printf("Usage: %s [OPTIONS]", benchmark.name);
    for (const struct bench_option *o = benchmark.options; o->name; o++) {
        if (o->positional) {
            printf(" [%s]", o->name);
        }
    }
    printf("\n%s\n\n  --iters N     %s (default %" PRIu64 ")\n", benchmark.summary,
           benchmark.iteration, benchmark.default_iters);
    printf("  --warmup N    the same work before the measured region (default: a tenth)\n");
    printf("  --threads N   %u to %d (default %u)\n", benchmark.min_threads, BENCH_MAX_THREADS,
           benchmark.default_threads);
    for (const struct bench_option *o = benchmark.options; o->name; o++) {
        if (!o->value) {
            continue;
        }
        printf("  --%-10s  %s (default ", o->name, o->meaning);
        if (o->choices) {
            printf("%s; one of", o->choices[*o->value]);
            for (const char *const *word = o->choices; *word; word++) {
                printf(" %s", *word);
            }
            puts(")");
        } else {
            printf("%" PRIu64 ")\n", *o->value);
        }
    }
    exit(0);
}

static void set_option(const struct bench_option *option, const char *text) {
    if (option->choices) {
        for (uint64_t i = 0; option->choices[i]; i++) {
            if (strcmp(option->choices[i], text) == 0) {
                *option->value = i;
                return;
            }
        }
        bench_refuse("unknown %s '%s'; --help lists them", option->name, text);
    }
    char *end = NULL;
    errno = 0;
    const uint64_t number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number < option->min ||
        number > option->max) {
        bench_refuse("%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, option->name, text,
                     option->min, option->max);
    }
    *option->value = number;
}

static const struct bench_option *find_option(const struct bench_option *table, const char *name) {
    while (table->name && strcmp(table->name, name) != 0) {
        table++;
    }
    return table->name ? table : NULL;
}

struct bench_lengths bench_parse(int argc, char **argv) {
    struct bench_lengths lengths = {benchmark.default_iters, UINT64_MAX, benchmark.default_threads};
    const struct bench_option common[] = {
        {"iters", "", &lengths.iters, 1, UINT64_MAX / 2, NULL, 0},
        {"warmup", "", &lengths.warmup, 0, UINT64_MAX / 2, NULL, 0},
        {"threads", "", &lengths.threads, benchmark.min_threads, BENCH_MAX_THREADS, NULL, 0},
        BENCH_OPTIONS_END,
    };
    const struct bench_option *bare = benchmark.options;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0) {
            use();
        }
        const int named = strncmp(word, "--", 2) == 0;
        while (!named && bare->name && !bare->positional) {
            bare++;
        }
        const char *name = named ? word + 2 : bare->name;
        const struct bench_option *option = name ? find_option(common, name) : NULL;
        option = option || !name ? option : find_option(benchmark.options, name);
        if (!option) {
            bench_refuse("unexpected '%s'; --help lists the options", word);
        }
        if (named && ++i == argc) {
            bench_refuse("option '%s' needs a value", word);
        }
        set_option(option, argv[i]);
        bare += !named;
    }
    if (lengths.warmup == UINT64_MAX) {
        lengths.warmup = lengths.iters / 10;
    }
    return lengths;
}

void bench_add_options(struct line *line) {
    const char *comma = "";
    for (const struct bench_option *o = benchmark.options; o->name; o++) {
        if (!o->value) {
            continue;
        }
        if (o->choices) {
            line_add(line, "%s\"%s\":\"%s\"", comma, o->name, o->choices[*o->value]);
        } else {
            line_add(line, "%s\"%s\":%" PRIu64, comma, o->name, *o->value);
        }
        comma = ",";
    }
}
