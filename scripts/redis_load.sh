#!/bin/sh
# A redis-server of its own, without files, under load from redis-benchmark, then shut down.
#   hakprof compare --alloc jemalloc,hakmem,mimalloc,tcmalloc,glibc -- scripts/redis_load.sh [REQUESTS]
set -eu
requests=${1:-60000}
folder=$(mktemp -d)
socket=$folder/redis.sock
redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --dir "$folder" \
    --daemonize no --loglevel warning >/dev/null &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT INT TERM
tries=0
until redis-cli -s "$socket" ping >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "redis-server did not start" >&2
        exit 1
    fi
    sleep 0.05
done
redis-benchmark -s "$socket" -q -P 16 -n "$requests" -r 100000 -d 200 -t set,get,lpush,hset >/dev/null
redis-cli -s "$socket" shutdown nosave
wait "$server"
