#!/bin/sh
# How hakmem scales beside others: larson at 1, 2, 4, 8 and 16 threads. Options go to hakprof sweep.
#   scripts/larson.sh --alloc hakmem,glibc,mimalloc --svg larson.svg
exec "$(dirname -- "$0")/hakprof" sweep larson --threads 1,2,4,8,16 "$@"
