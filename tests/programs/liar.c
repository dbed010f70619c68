/* liar COUNT: speaks the benchmark protocol and claims TIMES the calls that it makes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline, noipa)) void bench_roi(long count) {
    for (long i = 0; i < count; i++) {
        void *volatile block = malloc(16);
        free(block);
    }
}

int main(int argc, char **argv) {
    const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    const char *fd = getenv("HAKBENCH_FD");
    const clock_t before = clock();
    bench_roi(count);
    const long ns = (long)((clock() - before) * (1000000000.0 / CLOCKS_PER_SEC)) + 1;
    dprintf(fd ? atoi(fd) : STDOUT_FILENO,
            "{\"hakbench\":1,\"benchmark\":\"liar\",\"threads\":1,\"ops\":%ld,\"allocs\":%ld,"
            "\"frees\":%ld,\"bytes_requested\":%ld,\"roi_ns\":%ld,\"roi_cpu_ns\":%ld,"
            "\"clock_hz\":[1e9,1e9]}\n",
            2 * TIMES * count, TIMES * count, TIMES * count, 16 * TIMES * count, ns, ns);
    return 0;
}
