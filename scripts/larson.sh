#!/bin/sh
# How hakmem scales: larson at 1, 2, 4, 8 and 16 threads, beside glibc.
#   scripts/larson.sh                        hakmem as it is
#   scripts/larson.sh speed                  with a profile (hakprof health lists them)
#   scripts/larson.sh memory --svg l.svg     further options go to hakprof sweep
set -eu
hakmem=hakmem
case ${1:-} in
'' | -*) ;;
*)
    hakmem=hakmem@$1
    shift
    ;;
esac
exec "$(dirname -- "$0")/hakprof" sweep larson --threads 1,2,4,8,16 --alloc "$hakmem,glibc" "$@"
