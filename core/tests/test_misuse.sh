#!/bin/sh
# test_misuse.sh PROGRAM LIBRARY all|always|NUMBER: under LIBRARY, misuses end in SIGABRT and
# "hakmem: ... ADDRESS" on stderr. Which: all; those marked with "!"; or these, and NUMBER in all, but
# no fewer than glibc aborts on.
program=$1
library=$2
promise=$3
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
ulimit -c 0
failed=0
tried=0
noticed=0
by_glibc=0
for misuse in $("$program"); do
    tried=$((tried + 1))
    name=${misuse#!}
    "$program" "$name" >/dev/null 2>&1
    [ $? -eq 134 ] && by_glibc=$((by_glibc + 1))
    address=$(LD_PRELOAD=$library "$program" "$name" 2>"$messages")
    status=$?
    if [ $status -eq 134 ] && grep -q "^hakmem: .* $address\$" "$messages"; then
        noticed=$((noticed + 1))
    elif [ "$promise" = all ] || [ "$name" != "$misuse" ]; then
        echo "$name: status $status, address $address, message: $(cat "$messages")"
        failed=1
    fi
done
echo "of $tried misuses, hakmem noticed $noticed, glibc $by_glibc"
case $promise in
[0-9]*) [ $noticed -ge "$promise" ] && [ $noticed -ge $by_glibc ] || failed=1 ;;
esac
[ $tried -gt 0 ] && exit $failed
