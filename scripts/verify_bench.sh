#!/bin/sh
# Proves which allocator serves a benchmark or a program: scripts/verify_bench.sh bench_tiny --alloc mimalloc
exec "$(dirname -- "$0")/hakprof" verify "$@"
